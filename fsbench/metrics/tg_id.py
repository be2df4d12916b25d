"""Identity over a whole clip."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._clips import OfFrames, to_frames
from fsbench.metrics.tl_id import TlId
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tg_id")
class TgId(OfFrames):
    """Mean cosine of any two outputs of a clip less that of its frames: below 0 the identity drifts more than it does.

    Over all pairs of different frames in which the judge finds a face on output and target. See `tl_id`.
    """

    info = replace(
        TlId.info, reference="TG-ID of Tzaban et al., Stitch it in Time, SIGGRAPH Asia 2022, as a difference"
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        sides = batch.embeddings.output.double(), batch.embeddings.target.double()
        known = ~(sides[0] + sides[1]).isnan().any(1)
        output, target = (mean_cosines(vectors[known]) for vectors in sides)
        return to_frames(output - target, known.cpu(), len(known))  # (N, 1)


def mean_cosines(vectors: Tensor) -> Tensor:
    """What each of (N, D) unit vectors adds to the mean cosine of any two, (N,): that is their mean; NaN for one alone.

    It is twice the mean cosine with the others, less that of all: a vector is one of two in each of its pairs, and
    what a mean of pairs does over samples is what the mean of these does (Hoeffding, Annals of Mathematical Statistics
    19(3), 1948).
    """
    n = len(vectors)
    if n < 2:
        return torch.full((n,), torch.nan, dtype=torch.float64)
    others = ((vectors * vectors.sum(0)).sum(1) - (vectors**2).sum(1)) / (n - 1)
    return 2 * others - others.mean()
