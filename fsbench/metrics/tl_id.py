"""Identity from frame to frame."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import next_to
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tl_id")
class TlId:
    """Cosine of consecutive outputs less that of their targets: below 0 the identity flickers more than the real clip.

    The mean over all pairs of consecutive frames in which the judge finds a face on both outputs and both targets. The
    published number is the quotient, which is above 1 as easily as below it. The target's other identity may be one
    that the judge finds more, or less, alike from frame to frame: `exact` is not at 0.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(-2.0, 2.0),
        needs=("judge",),
        no_face="the frame is left out",
        reference="TL-ID of Tzaban et al., Stitch it in Time, SIGGRAPH Asia 2022, as a difference",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("identity",),
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        together = torch.from_numpy(next_to(batch.rows["frame"].to_numpy(int)))
        output, target = (
            (vectors[:-1] * vectors[1:]).sum(1)[together]
            for vectors in (batch.embeddings.output.double(), batch.embeddings.target.double())
        )
        return (output - target).nanmean()[None]  # (1,)
