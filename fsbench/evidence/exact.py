"""The evidence `exact`: the exact swaps, where the data set knows them."""

from __future__ import annotations

from fsbench.errors import NotScorable
from fsbench.images import ImageSet
from fsbench.interfaces import EvidenceOf
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence


@evidence.register("exact")
class ExactSwap:
    """The exact swap of each pair, (N, 3, S, S) in [0, 1]."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Return the same exact swaps for every model."""
        exact = evaluation.pairs.exact

        def of(outputs: Outputs) -> ImageSet:
            if exact is None:
                raise NotScorable("the data set does not know the exact swaps")
            return exact

        return of
