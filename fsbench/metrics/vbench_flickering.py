"""Temporal flickering as VBench defines it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.images import to_levels
from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames, known_mean, next_to, to_frames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("vbench_flickering")
class VbenchFlickering(OfFrames):
    """VBench's temporal flickering of outputs: 1 less the mean absolute difference of consecutive frames; 1 is a still.

    As published, to be compared with such numbers: (255 - mean |f_t - f_{t+1}|) / 255 over all pixels and channels of
    8-bit frames, averaged over the pairs of a clip, then over clips. VBench's own value depends on the number of its
    processes, this one does not. The motion of the head counts as flicker, and the target is not looked at: read a
    value beside that of `copy_target`. `flicker` is the measure of what is wrong.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=(),
        no_face="scored like any other",
        reference="Huang et al., VBench, CVPR 2024, temporal flickering",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("flicker", "shake"),
        digits=4,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        first = torch.from_numpy(np.flatnonzero(next_to(batch.rows["frame"].to_numpy(int))))
        frames = to_levels(batch.output).double()
        return to_frames((frames[first + 1] - frames[first]).abs().mean((1, 2, 3)), first, len(frames))  # (N, 1)

    def clip_row(self, rows: np.ndarray) -> float:
        return 1 - known_mean(rows)
