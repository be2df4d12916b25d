"""What changed around the face."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._skin import grown
from fsbench.registry import metrics


@metrics.register("background")
class Background:
    """Mean absolute difference between output and target outside the face, in levels of 255; 0 changes nothing.

    Outside is what is farther than 3 % of the crop's side from the face mask: a soft paste border may lie closer.
    """

    info = MetricInfo(
        unit="levels",
        direction="lower",
        bounds=(0.0, 255.0),
        needs=(),
        group="attributes",
        measures=("detail", "geometry"),
        no_face="scored like any other; not scored where the mask is empty or leaves nothing outside",
        reference="closed form",
        digits=2,
    )

    def measure(self, batch: Batch) -> Tensor:
        outside = ~grown(batch.mask > 0.5)  # (N, 1, S, S)
        change = (batch.output - batch.target).abs().mean(1, keepdim=True)
        rows = 255 * (change * outside).double().sum((1, 2, 3)) / outside.sum((1, 2, 3))  # (N,) NaN for 0 / 0
        return rows.where((batch.mask > 0.5).any(3).any(2).any(1), torch.nan)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
