"""Whether output and source look like the same people, in the same order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._lookalikes import agreement
from fsbench.registry import metrics

PERSISTENCE = 0.9
"""Probability that a reader of the lists goes on to the next rank."""


def rbo_weights(depth: int, persistence: float = PERSISTENCE) -> Tensor:
    """What it is worth that one person stands at ranks i and j of two lists, (K, K); RBO is linear in such matches.

    RBO_ext = X_K / K p^K + (1 - p) / p sum_{d=1..K} X_d / d p^d, X_d being the number of people in both lists down to
    rank d: a match counts from its lower rank on.
    """
    rank = torch.arange(1, depth + 1, dtype=torch.float64)
    term = persistence**rank / rank
    from_here = (1 - persistence) / persistence * term.flip(0).cumsum(0).flip(0) + term[-1]  # (K,)
    return from_here[torch.maximum(*torch.meshgrid(rank, rank, indexing="ij")).long() - 1]


@metrics.register("id_topk_rbo")
class IdTopkRbo:
    """Rank-biased overlap of the look-alikes of the output and of the source's held-out images; 1 is the same order.

    Extrapolated from the ranks that are stored, with p = 0.9; the first ranks weigh most. Mean over images. In a small
    gallery chance alone agrees a good deal. Else as `id_topk`.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="not scored, and counted",
        reference="Webber, Moffat and Zobel, A similarity measure for indefinite rankings, ACM TOIS 28(4), 2010",
    )

    def measure(self, batch: Batch) -> Tensor:
        return agreement(batch, rbo_weights(batch.lookalikes.output.shape[1]))  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
