"""Learned perceptual distance between outputs and the exact swaps, with the background."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.gt_lpips import GtLpips
from fsbench.registry import metrics


@metrics.register("gt_lpips_crop")
class GtLpipsCrop(GtLpips):
    """Learned perceptual distance (LPIPS v0.1) between the output and the exact swap, over the whole crop.

    The published scalar: each layer's map is averaged, and the five means are summed. Most of a crop is background,
    which copying the target keeps exactly: `copy_target` stands better here than under the metric of the face alone.
    """

    info = replace(GtLpips.info, summary_rank=0)
    whole_crop = True
