"""tLP: perceptual change of outputs from frame to frame against that of their targets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.images import to_levels
from fsbench.interfaces import Batch, Context
from fsbench.metrics._clips import OfFrames, to_frames
from fsbench.metrics._lpips_network import Distance
from fsbench.metrics._tecogan import inner, pairs
from fsbench.metrics.tof import Tof
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tlp")
class Tlp(OfFrames):
    """Mean difference between the LPIPS of consecutive outputs and that of their targets, times 100; 0 changes alike.

    As published for TecoGAN, to be compared with such numbers: 100 times the absolute difference of the two distances,
    by AlexNet, without the first and last two frames and without the border that `tof` leaves out. A clip has the mean
    over its pairs of consecutive frames.
    """

    info = replace(Tof.info, unit="", measures=("flicker", "pumping", "stutter"), digits=2)
    summarise = staticmethod(mean)

    def __init__(self, *, context: Context) -> None:
        self._distance = Distance("alex", context)
        self.info = replace(type(self).info, weights=self._distance.weights, missing=self._distance.missing)

    def frame_rows(self, batch: Batch) -> Tensor:
        first = torch.tensor(pairs(batch), dtype=torch.long)
        if not len(first):
            return to_frames(torch.empty(0), first, len(batch.rows))
        output, target = (
            self._distance(images[first], images[first + 1])
            for images in (inner(to_levels(side)) for side in (batch.output, batch.target))
        )
        return to_frames(100 * (output - target).abs(), first, len(batch.rows))  # (N, 1)
