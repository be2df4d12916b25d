"""The evidence `true_landmarks`: where the target's eyes, nose and mouth are, where the data set draws them."""

from __future__ import annotations

import torch

from fsbench.errors import NotScorable
from fsbench.interfaces import EvidenceOf
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence


@evidence.register("true_landmarks")
class TrueLandmarks:
    """The five landmarks of each pair's target without a detector's error, (N, 5, 2) pixels."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Return the same landmarks for every model; a data set that knows exact swaps knows them."""
        landmarks = torch.from_numpy(evaluation.targets.landmarks[evaluation.pairs.index])

        def of(outputs: Outputs) -> torch.Tensor:
            if evaluation.pairs.exact is None:
                raise NotScorable("the data set's landmarks are a detector's own")
            return landmarks

        return of
