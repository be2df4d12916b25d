"""The evidence of an observer, under the observer's specification: what it computes of outputs and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import observe
from fsbench.interfaces import Context, EvidenceOf, Observed, Observer, PairedFeatures, SharedTargets
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import observers


@dataclass(frozen=True)
class ObservedTargets:
    """Arrays that an observer computed for the real images, and which of these each pair has as its target."""

    arrays: Mapping[str, Tensor]  # (T, ...) each
    index: np.ndarray  # (N,)
    _shared: dict[str, SharedTargets] = field(default_factory=dict)

    def __getitem__(self, rows: slice) -> dict[str, Tensor]:
        """The arrays of some of the targets."""
        return {name: array[torch.from_numpy(self.index[rows])] for name, array in self.arrays.items()}

    def pair(self, array: str, output: np.ndarray) -> PairedFeatures:
        """Pair one array of the outputs (N, D) with that of the targets."""
        if array not in self._shared:
            self._shared[array] = SharedTargets(_matrix(self.arrays[array]))
        return self._shared[array].pair(output, self.index)


@dataclass(frozen=True)
class ObservedOutputs:
    """Arrays that an observer computed for the outputs of a model, beside those of their targets."""

    observer: str  # its specification
    arrays: Mapping[str, Tensor]  # (N, ...) each
    targets: ObservedTargets
    _paired: dict[str, PairedFeatures] = field(default_factory=dict)

    def __getitem__(self, rows: slice) -> Observed:
        """The arrays of some of the outputs and of their targets."""
        return Observed(self.observer, {name: array[rows] for name, array in self.arrays.items()}, self.targets[rows])

    def features(self, array: str) -> PairedFeatures:
        """One array as features, which all metrics share; raises NotScorable where it is not there."""
        if array not in self.arrays or array not in self.targets.arrays:
            raise NotScorable(f"{self.observer} gives no {array}")
        if array not in self._paired:
            self._paired[array] = self.targets.pair(array, _matrix(self.arrays[array]))
        return self._paired[array]


class ObserverArrays:
    """Arrays that one observer computes for outputs and targets; `Batch.observed` gives them to metrics."""

    def __init__(self, specification: str, path: str, context: Context) -> None:
        self.observer: Extractor[Observer] = Extractor.build(
            observers, specification, context, path, name=specification
        )
        self._context = context

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Let the observer look at the targets, and return what lets it look at outputs."""
        name, real = self.observer.name, evaluation.real
        arrays = observe(self.observer, real.test.crops, real.test_landmarks, "held-out images", self._context)
        targets = ObservedTargets(arrays, evaluation.pairs.index)

        def of(outputs: Outputs) -> ObservedOutputs:
            if outputs.images is evaluation.pairs.targets:  # each image is a held-out one, which it has seen
                return ObservedOutputs(name, targets[:], targets)
            own = observe(self.observer, outputs.images, outputs.landmarks, outputs.label, self._context)
            return ObservedOutputs(name, own, targets)

        return of


def _matrix(array: Tensor) -> np.ndarray:
    """(N, ...) -> (N, D)."""
    return array.reshape(len(array), -1).numpy()
