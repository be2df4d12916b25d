"""Jitter of outputs against the true landmarks of their targets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.interfaces import Batch, Context
from fsbench.metrics._clips import OfSquares, jumps
from fsbench.metrics._landmarks import Landmarks, eye_distance, five, in_plane, observer_of
from fsbench.metrics.jitter import Jitter
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("gt_jitter")
class GtJitter(OfSquares):
    """How far an output's landmarks jump where the target's true ones do not, in percent of the eye distance.

    Like `jitter`, of eyes, nose and mouth alone, and with the noise of the landmark network left in. For unchanged
    targets (`copy_target`) it is this noise: 2.5 by the five points and 0.9 by the face mesh on synthetic clips of 128
    pixels.
    """

    info = replace(Jitter.info, group="truth", reference="truth by drawing", stages=("crop",), summary_rank=0)
    summarise = staticmethod(mean)

    def __init__(self, *, landmarks: Landmarks = "best", context: Context) -> None:
        self.info = replace(type(self).info, needs=(observer_of(landmarks, context), "true_landmarks"))

    def frame_rows(self, batch: Batch) -> Tensor:
        network, truth = self.info.needs
        output, _ = batch.observed(network, "landmarks")
        points, true = five(in_plane(output)), in_plane(batch[truth])
        moved = jumps(points - true, batch.rows["frame"].to_numpy(int))
        return torch.from_numpy(((100 * moved / eye_distance(true)) ** 2).sum(2))  # (N, 5)
