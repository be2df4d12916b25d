"""Peak signal-to-noise ratio against the exact swap."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._truth import IMAGE, per_image
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

ROUNDING = 1 / (12 * 255**2)
"""Mean squared error of rounding to 8 bits."""


def psnr(output: Tensor, exact: Tensor, mask: Tensor | None = None) -> Tensor:
    """Decibels of (N, 3, H, W) images in [0, 1], over all pixels or those of (N, 1, H, W) masks, (N,) float64."""
    return per_image(_psnr, output, exact, mask)


def _psnr(exact: np.ndarray, output: np.ndarray, where: np.ndarray) -> float:
    from skimage.metrics import mean_squared_error  # slow to import, and not every command measures

    return -10 * math.log10(max(mean_squared_error(exact[where], output[where]), ROUNDING))


@metrics.register("gt_psnr")
class GtPsnr:
    """Peak signal-to-noise ratio between the output and the exact swap, inside the face mask, in decibels.

    The mask is where the target or the exact swap shows the face. The ratio is capped at 58.9 dB, the error of rounding
    to 8 bits: images that agree get that value and not infinity. The value is the mean over images of the per-image
    ratio.

    `fsbench validate`: the ratio falls by ten decibels for ten times the error, so that the slightest fault costs most
    of its range. Differences near the cap mean little.
    """

    whole_crop = False
    info = MetricInfo(
        unit="dB",
        direction="higher",
        bounds=(0.0, -10 * math.log10(ROUNDING)),
        needs=("exact",),
        group="truth",
        measures=IMAGE,
        no_face="scored like any other",
        reference="scikit-image mean_squared_error, data range 1",
        digits=2,
        summary_rank=90,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return psnr(batch.output, batch.exact, None if self.whole_crop else batch.mask)  # (N,)


@metrics.register("gt_psnr_crop")
class GtPsnrCrop(GtPsnr):
    """Peak signal-to-noise ratio between the output and the exact swap, over the whole crop, in decibels.

    Everything else is as in `gt_psnr`. Most of a crop is background, which copying the target keeps exactly:
    `copy_target` is higher here than under the metric of the face alone.
    """

    info = replace(GtPsnr.info, summary_rank=0)
    whole_crop = True
