"""Identity over a whole clip."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics.tl_id import TlId
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tg_id")
class TgId:
    """Mean cosine of any two outputs of a clip less that of its frames: below 0 the identity drifts more than it does.

    Over all pairs of different frames in which the judge finds a face on output and target. See `tl_id`.
    """

    info = replace(
        TlId.info, reference="TG-ID of Tzaban et al., Stitch it in Time, SIGGRAPH Asia 2022, as a difference"
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        sides = batch.embeddings.output.double(), batch.embeddings.target.double()
        known = ~(sides[0] + sides[1]).isnan().any(1)
        output, target = (mean_cosine(vectors[known]) for vectors in sides)
        return (output - target)[None]  # (1,)


def mean_cosine(vectors: Tensor) -> Tensor:
    """Mean cosine of any two of (N, D) unit vectors, (); NaN for fewer than two."""
    n = len(vectors)
    whole = (vectors.sum(0) ** 2).sum()  # each pair twice, and each vector with itself
    return (whole - (vectors**2).sum()) / (n * (n - 1)) if n > 1 else torch.tensor(torch.nan, dtype=torch.float64)
