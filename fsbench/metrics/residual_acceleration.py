"""Motion of outputs that their targets do not have."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("residual_acceleration")
class ResidualAcceleration:
    """Mean acceleration of the output's landmarks against the target's, in percent of the distance of the eyes.

    With d_t = landmarks of output t - landmarks of frame t, a row is the mean of |d_{t+1} - 2 d_t + d_{t-1}| over the
    five landmarks and all triples of consecutive frames, over the median distance of the target's eyes in the clip. The
    motion of the head cancels, and so does a shift that stays the same. A triple is left out where one of its frames is
    missing or shows no face. A clip without any triple is not scored. The unit of time is a frame: compare clips of one
    frame rate.

    The detector's own error does not cancel: an output that is its target is at 0, and `exact` is not. Read a value
    beside that of `exact`, where it is known. Copying the target wins.
    """

    info = MetricInfo(
        unit="%",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=("five_points",),
        no_face="the frame is left out",
        reference="second difference of the landmark residual: NMJ of Geng et al., CVPR 2023, has the first",
        group="temporal",
        sample="clip",
        measures=("temporal",),
        digits=2,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        output, target = batch.observed("five_points", "landmarks")
        return acceleration(output, target, batch.rows["frame"].to_numpy(int))[None]  # (1,)


def acceleration(output: Tensor, target: Tensor, frame: np.ndarray) -> Tensor:
    """Landmarks (N, 5, 2) of outputs and targets, eyes first, of ascending frames (N,) -> () percent, NaN for none."""
    residual, goal = (output - target).cpu().double().numpy(), target.cpu().double().numpy()
    lengths = np.linalg.norm(residual[2:] - 2 * residual[1:-1] + residual[:-2], axis=2).mean(1)  # (N - 2,)
    side_by_side = (np.diff(frame[:-1]) == 1) & (np.diff(frame[1:]) == 1)
    lengths = lengths[side_by_side & np.isfinite(lengths)]
    eyes = np.linalg.norm(goal[:, 0] - goal[:, 1], axis=1)
    eyes = eyes[eyes > 0]  # nor is NaN
    value = 100 * lengths.mean() / np.median(eyes) if len(lengths) and len(eyes) else math.nan
    return torch.tensor(value, dtype=torch.float64)
