"""Lag of outputs behind their targets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, Context, MetricInfo
from fsbench.metrics._clips import OfFrames, known_mean
from fsbench.metrics._landmarks import Landmarks, in_plane, observer_of
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

REACH = 12
"""Frames, the largest lag that is looked for."""

LAGS = range(-REACH, REACH + 1)

_LIKE = 0.5  # correlation of the two motions, at least
_SHARE = 3  # the frames that are compared are a third of the clip, at least


@metrics.register("lag")
class Lag(OfFrames):
    """By how many frames an output's landmarks move later than its target's, or earlier; 0 is in time.

    The lag of a clip is where the cross-correlation of the landmarks' positions over time, about their means, is
    highest, up to 12 frames either way, between frames by a parabola. The value is the mean of its size. A clip that
    moves too little for the landmark network, so that the correlation stays below 0.5, is not scored, nor is one in
    which a lag would leave less than a third of its frames to compare.

    On four synthetic clips of 48 frames `exact` is at 0.02, and outputs that are 1, 3 and 5 frames late are at 1.0, 3.0
    and 5.0, by the mesh as by the five points. `landmarks` as in `jitter`. Copying the target wins.
    """

    info = MetricInfo(
        unit="frames",
        direction="lower",
        bounds=(0.0, REACH + 0.5),
        needs=(),
        no_face="the frame is left out",
        reference="time delay by cross-correlation (Knapp & Carter, IEEE Trans. ASSP 24(4), 1976)",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("lag",),
        digits=2,
    )
    summarise = staticmethod(mean)

    def __init__(self, *, landmarks: Landmarks = "best", context: Context) -> None:
        self.info = replace(type(self).info, needs=(observer_of(landmarks, context),))

    def frame_rows(self, batch: Batch) -> Tensor:
        output, target = map(in_plane, batch.observed(self.info.needs[0], "landmarks"))
        return torch.from_numpy(correlations(output, target, batch.rows["frame"].to_numpy(int)))  # (N, lags)

    def clip_row(self, rows: np.ndarray) -> float:
        return abs(highest(rows))


def lag(output: np.ndarray, target: np.ndarray, frame: np.ndarray) -> float:
    """Frames by which landmarks (N, P, 2) of outputs move later than those of targets, at ascending frames (N,)."""
    return highest(correlations(output, target, frame))


def correlations(output: np.ndarray, target: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """What each frame adds to the correlation at each of LAGS, (N, lags); arguments as of `lag`."""
    return np.stack([correlation(output, target, frame, k) for k in LAGS], 1)


def highest(rows: np.ndarray) -> float:
    """The lag whose correlation is highest, from what frames add to each (M, lags); NaN where it is low."""
    likeness = np.array([known_mean(row) for row in rows.T])
    if np.isnan(likeness).all() or np.nanmax(likeness) < _LIKE:
        return math.nan
    best = int(np.nanargmax(likeness))
    around = likeness[best - 1 : best + 2] if 0 < best < len(LAGS) - 1 else np.full(3, math.nan)
    curve = around[0] - 2 * around[1] + around[2]
    peak = (around[0] - around[2]) / 2 / curve if curve < 0 else 0.0  # NaN beside the end of the range
    return float(LAGS[best] + peak)


def correlation(output: np.ndarray, target: np.ndarray, frame: np.ndarray, k: int) -> np.ndarray:
    """What each frame adds to the correlation of outputs with the targets k frames before them, (N,).

    Of landmarks (N, P, 2) at ascending frames (N,). The mean of what is known is Pearson's correlation; all are NaN
    where too few can be compared, or nothing moves.
    """
    added = np.full(len(frame), math.nan)
    known = np.isfinite(output).all((1, 2)), np.isfinite(target).all((1, 2))
    _, now, before = np.intersect1d(frame, frame + k, return_indices=True)
    both = known[0][now] & known[1][before]
    if both.sum() * _SHARE < len(frame) or both.sum() < 3:
        return added
    moved = [points - points.mean(0) for points in (output[now[both]], target[before[both]])]
    size = math.sqrt((moved[0] ** 2).sum() * (moved[1] ** 2).sum())
    if size > 0:
        added[now[both]] = both.sum() * (moved[0] * moved[1]).sum((1, 2)) / size
    return added
