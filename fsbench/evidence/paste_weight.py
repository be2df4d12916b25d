"""The evidence `paste_weight`: how much of each pixel of a frame is the output that was put back there."""

from __future__ import annotations

from fsbench.errors import NotScorable
from fsbench.images import ImageSet
from fsbench.interfaces import EvidenceOf
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence


@evidence.register("paste_weight")
class PasteWeight:
    """Share of the output in each pixel of the region of a frame, (N, 1, S, S) in [0, 1]; 0 is the frame as it was."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Return the weights that each model was pasted with."""

        def of(outputs: Outputs) -> ImageSet:
            if outputs.weights is None:
                raise NotScorable("crops are not put back into frames here")
            return outputs.weights

        return of
