"""The evidence of an observer, under the observer's specification: what it computes of outputs and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.evidence.targets import TargetFeatures
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import observe
from fsbench.interfaces import Context, EvidenceOf, Observed, Observer, PairedFeatures, clip_names, clip_spans
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.record_types import SetName
from fsbench.registry import observers

TITLES: Mapping[SetName, str] = {"stills": "held-out images", "clips": "held-out clips"}
"""What progress bars call the targets of an evaluation set."""


@dataclass(frozen=True)
class ObservedOutputs:
    """Arrays that an observer computed for the outputs of a model, beside those of their targets."""

    arrays: Mapping[str, Tensor]  # (N, ...) each
    targets: TargetFeatures
    _paired: dict[str, PairedFeatures] = field(default_factory=dict)

    def __getitem__(self, rows: slice) -> Observed:
        """The arrays of some of the outputs and of their targets."""
        own = {name: array[rows] for name, array in self.arrays.items()}
        return Observed(self.targets.network, own, self.targets[rows])

    def features(self, array: str) -> PairedFeatures:
        """One array as features, which all metrics share; raises NotScorable where it is not there."""
        if array not in self._paired:
            self._paired[array] = self.targets.pair(array, self.arrays)
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
        name, faces, clips = self.observer.name, evaluation.targets, self.observer.network.info.unit == "clip"
        if clips and evaluation.name != "clips":
            raise NotScorable(f"{name} looks at clips, and these targets are stills")
        of_targets = clip_spans(clip_names(faces.rows)) if clips else ()
        of_outputs = evaluation.pairs.clips if clips else ()
        title = TITLES[evaluation.name]
        arrays = observe(self.observer, faces.crops, evaluation.target_landmarks, title, self._context, of_targets)
        targets = TargetFeatures(name, arrays, evaluation.pairs.index)

        def of(outputs: Outputs) -> ObservedOutputs:
            if outputs.images is evaluation.pairs.targets:  # each image is a held-out one, which it has seen
                return ObservedOutputs(targets[:], targets)
            if not self.observer.network.info.outputs:
                return ObservedOutputs({}, targets)
            own = observe(self.observer, outputs.images, outputs.landmarks, outputs.label, self._context, of_outputs)
            return ObservedOutputs(own, targets)

        return of
