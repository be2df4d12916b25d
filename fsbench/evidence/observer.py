"""The evidence of an observer, under the observer's specification: what it computes of outputs and targets."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fsbench.errors import NotScorable
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import observe
from fsbench.interfaces import Context, EvidenceOf, Observed, Observer, clip_names, clip_spans
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.record_types import SetName
from fsbench.registry import observers

TITLES: Mapping[SetName, str] = {"stills": "held-out images", "clips": "held-out clips"}
"""What progress bars call the targets of an evaluation set."""


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
        index = torch.from_numpy(evaluation.pairs.index)
        targets = {key: array[index] for key, array in arrays.items()}

        def of(outputs: Outputs) -> Observed:
            if outputs.images is evaluation.pairs.targets:  # each image is a held-out one, which it has seen
                return Observed(name, targets, targets)
            own = observe(self.observer, outputs.images, outputs.landmarks, outputs.label, self._context, of_outputs)
            return Observed(name, own, targets)

        return of
