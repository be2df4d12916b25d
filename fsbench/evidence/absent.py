"""The evidence `absent`: which outputs a model did not give."""

from __future__ import annotations

import torch

from fsbench.interfaces import EvidenceOf
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence


@evidence.register("absent")
class Absent:
    """Which outputs are not there, (N,) bool: what stands for them in the batch is no answer of the model."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Return what is known of each model."""

        def of(outputs: Outputs) -> torch.Tensor:
            absent = outputs.absent
            return torch.zeros(len(outputs.images), dtype=torch.bool) if absent is None else torch.from_numpy(absent)

        return of
