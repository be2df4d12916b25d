"""Jitter: motion of outputs that their targets do not have."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, Context, MetricInfo
from fsbench.metrics._clips import OfFrames, jumps
from fsbench.metrics._landmarks import Landmarks, eye_distance, in_plane, observer_of, split_power
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("jitter")
class Jitter(OfFrames):
    """How far an output's landmarks jump from frame to frame where the target's do not, in percent of the eye distance.

    With d_t = landmarks of output t - landmarks of frame t, a clip has the root mean square of d_{t+1} - 2 d_t +
    d_{t-1} over landmarks and frames, divided by sqrt(6) and by the median distance of the target's eyes. An output
    that is displaced by independent random vectors has the root mean square length of these. The motion of the head
    cancels, and so does a shift that stays the same or grows evenly.

    The landmark network's own noise does not cancel. It is measured on the target's frames after a JPEG, in the same
    way, and subtracted in quadrature; a clip below it has 0. A target unchanged has 0. A frame is left out where it, or
    a neighbour, is missing or shows no face. The unit of time is a frame: compare clips of one frame rate.

    `jitter_common` and `jitter_wobble` are its parts, in quadrature but for the noise. `landmarks` is whose landmarks
    these are: `face_mesh` where its file is there, else `five_points`, three times as noisy. Copying the target wins.

    On four synthetic clips of 128 pixels a target that is shaken by 1 pixel, 3.46 % of the eye distance, is at 3.34 by
    the mesh and at 3.63 by the five points. The noise of another face is not quite that of the target's: `exact` is at
    0.7 and 2.1. Of every second or third frame alone, so that the head moves as much faster, the part of a shake that
    is measured changes by 1 %.
    """

    part = slice(0, 2)  # of `split_power`
    info = MetricInfo(
        unit="%",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=(),
        no_face="the frame and its neighbours are left out",
        reference="second difference of the landmark residual: NMJ of Geng et al., CVPR 2023, has the first",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("shake", "wobble"),
        digits=2,
        summary_rank=65,
    )
    summarise = staticmethod(mean)

    def __init__(self, *, landmarks: Landmarks = "best", context: Context) -> None:
        network = observer_of(landmarks, context)
        self.info = replace(type(self).info, needs=(network, f"reencoded({network})"))

    def frame_rows(self, batch: Batch) -> Tensor:
        return torch.from_numpy(np.stack(self._power(batch), 1))  # (N, 2)

    def clip_row(self, rows: np.ndarray) -> float:
        return above(rows[:, 0], rows[:, 1])

    def curve(self, batch: Batch) -> Tensor:
        power, noise = self._power(batch)
        level = np.nanmean(noise) if np.isfinite(noise).any() else math.nan
        return torch.from_numpy(np.sqrt(np.maximum(power - level, 0)))  # (N,)

    def _power(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Squares of jitter and of the network's noise at each frame, (N,) each."""
        network, reencoded = self.info.needs
        output, target = map(in_plane, batch.observed(network, "landmarks"))
        again, frame = in_plane(batch[reencoded].target["landmarks"]), batch.rows["frame"].to_numpy(int)
        power, noise = (jitter_power(points, target, frame)[:, self.part].sum(1) for points in (output, again))
        return power, noise


@metrics.register("jitter_common")
class JitterCommon(Jitter):
    """The part of `jitter` in which all landmarks jump together, in percent of the eye distance: the alignment shakes.

    It is what a shift, a turn and a scaling explain by least squares, frame by frame. Detection without smoothing,
    and a paste at rounded places, look like this.
    """

    part = slice(0, 1)
    info = replace(Jitter.info, measures=("shake",), summary_rank=0)


@metrics.register("jitter_wobble")
class JitterWobble(Jitter):
    """The part of `jitter` in which landmarks jump against each other, in percent of the eye distance: a wobbling face.

    It is what a shift, a turn and a scaling of the whole face do not explain. Its source is the model, not the
    alignment.
    """

    part = slice(1, 2)
    info = replace(Jitter.info, measures=("wobble",), summary_rank=0)


def jitter_power(points: np.ndarray, target: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Squares of common jitter and wobble at each frame, (N, 2), in squared percent of the eye distance.

    Of landmarks (N, P, 2) of outputs and targets and ascending numbers of frames (N,); NaN for a frame without both
    neighbours, or without a face on one of them.
    """
    return split_power(100 * jumps(points - target, frame) / eye_distance(target), target)


def above(power: np.ndarray, noise: np.ndarray) -> float:
    """Root of the mean power (N,) above that of the noise (N,), 0 where it is below; NaN where one is not known."""
    power, noise = power[np.isfinite(power)], noise[np.isfinite(noise)]
    if not len(power) or not len(noise):
        return math.nan
    return math.sqrt(max(0.0, float(power.mean() - noise.mean())))
