"""Peak signal-to-noise ratio against the exact swap, with the background."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.gt_psnr import GtPsnr
from fsbench.registry import metrics


@metrics.register("gt_psnr_crop")
class GtPsnrCrop(GtPsnr):
    """Peak signal-to-noise ratio between the output and the exact swap, over the whole crop, in decibels.

    Else as `gt_psnr`. Most of a crop is background, which copying the target keeps exactly: `copy_target` stands
    higher here than under the metric of the face alone.
    """

    info = replace(GtPsnr.info, summary_rank=0)
    whole_crop = True
