"""Identity from frame to frame."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames, next_to, to_frames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tl_id")
class TlId(OfFrames):
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

    def frame_rows(self, batch: Batch) -> Tensor:
        together = np.flatnonzero(next_to(batch.rows["frame"].to_numpy(int)))
        output, target = (
            (vectors[:-1] * vectors[1:]).sum(1)[together]
            for vectors in (batch.embeddings.output.double(), batch.embeddings.target.double())
        )
        return to_frames(output - target, together, len(batch.rows))  # (N, 1)
