"""Rank-biased overlap of the look-alikes of output and source."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._lookalikes import agreement
from fsbench.metrics.id_topk import IdTopk
from fsbench.registry import metrics

PERSISTENCE = 0.9
"""Probability that a reader of the lists goes on to the next rank."""


def rbo_weights(depth: int, persistence: float = PERSISTENCE) -> Tensor:
    """Worth of one person at ranks i and j of two lists, (K, K); RBO is linear in such matches.

    RBO_ext = X_K / K p^K + (1 - p) / p sum_{d=1..K} X_d / d p^d, where X_d is the number of people in both lists down
    to rank d: a match counts from its lower rank on.
    """
    rank = torch.arange(1, depth + 1, dtype=torch.float64)
    term = persistence**rank / rank
    from_here = (1 - persistence) / persistence * term.flip(0).cumsum(0).flip(0) + term[-1]  # (K,)
    return from_here[torch.maximum(*torch.meshgrid(rank, rank, indexing="ij")).long() - 1]


@metrics.register("id_topk_rbo")
class IdTopkRbo(IdTopk):
    """Rank-biased overlap of the look-alikes of the output and of the source's held-out images; 1 is the same order.

    It is extrapolated from the ranks that are stored, with p = 0.9. The first ranks weigh most. The value is the mean
    over images. In a small gallery chance alone gives a high overlap. Everything else is as in `id_topk`.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    info = replace(
        IdTopk.info,
        reference="Webber, Moffat and Zobel, A similarity measure for indefinite rankings, ACM TOIS 28(4), 2010",
    )

    def measure(self, batch: Batch) -> Tensor:
        return agreement(batch, rbo_weights(batch.lookalikes.output.shape[1]))  # (N,)
