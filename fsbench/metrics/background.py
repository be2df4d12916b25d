"""Changes around the face."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._skin import grown
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


def background_change(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference outside the grown (N, 1, S, S) mask: (N, 3, S, S) twice -> (N,) levels of 255, float64.

    A row is NaN where the mask is empty or leaves nothing outside.
    """
    outside = ~grown(mask > 0.5)  # (N, 1, S, S)
    change = (output - target).abs().mean(1, keepdim=True)
    rows = 255 * (change * outside).double().sum((1, 2, 3)) / outside.sum((1, 2, 3))  # (N,) NaN for 0 / 0
    return rows.where((mask > 0.5).any(3).any(2).any(1), torch.nan)


@metrics.register("background")
class Background:
    """Mean absolute difference between output and target outside the face, in levels of 255; 0 changes nothing.

    Outside is farther than 3 % of the crop's side from the face mask. A soft paste border may lie closer to the mask.
    """

    info = MetricInfo(
        unit="levels",
        direction="lower",
        bounds=(0.0, 255.0),
        needs=(),
        group="attributes",
        stages=("crop", "frame"),
        measures=("detail", "geometry"),
        no_face="scored like any other; not scored where the mask is empty or leaves nothing outside",
        reference="closed form",
        digits=2,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return background_change(batch.output, batch.target, batch.mask)  # (N,)
