"""Structural similarity to the exact swap, with the background."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.gt_ssim import GtSsim
from fsbench.registry import metrics


@metrics.register("gt_ssim_crop")
class GtSsimCrop(GtSsim):
    """Structural similarity to the exact swap, over the whole crop; 1 is identical.

    Else as `gt_ssim`. Most of a crop is background, which copying the target keeps exactly: `copy_target` stands
    higher here than under the metric of the face alone.
    """

    info = replace(GtSsim.info, summary_rank=0)
    whole_crop = True
