"""Peak signal-to-noise ratio against the exact swap."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._truth import IMAGE, compare
from fsbench.registry import metrics

ROUNDING = 1 / (12 * 255**2)
"""Mean squared error of rounding to 8 bits."""


def psnr(exact: np.ndarray, output: np.ndarray, where: np.ndarray) -> float:
    """Decibels over some of the pixels, images in [0, 1]."""
    from skimage.metrics import mean_squared_error  # slow to import, and not every command measures

    return -10 * math.log10(max(mean_squared_error(exact[where], output[where]), ROUNDING))


@metrics.register("gt_psnr")
class GtPsnr:
    """Peak signal-to-noise ratio between the output and the exact swap, inside the face mask, in decibels.

    The mask is where the target or the exact swap shows the face. Capped at 58.9 dB, the error of rounding to 8 bits:
    images that agree get that and not infinity. Mean over images of the per-image ratio.

    `fsbench validate`: as it falls by ten decibels for ten times the error, the slightest fault costs most of its
    range; differences near the cap mean little.
    """

    whole_crop = False
    info = MetricInfo(
        unit="dB",
        direction="higher",
        bounds=(0.0, -10 * math.log10(ROUNDING)),
        needs=("truth",),
        group="truth",
        measures=IMAGE,
        no_face="scored like any other",
        reference="scikit-image mean_squared_error, data range 1",
        digits=2,
        summary_rank=90,
    )

    def measure(self, batch: Batch) -> Tensor:
        return compare(batch, psnr, whole_crop=self.whole_crop)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
