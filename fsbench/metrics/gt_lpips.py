"""Learned perceptual distance between outputs and the exact swaps."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._truth import IMAGE
from fsbench.metrics.lpips import Lpips
from fsbench.registry import metrics


@metrics.register("gt_lpips")
class GtLpips(Lpips):
    """Learned perceptual distance (LPIPS v0.1) between output and exact swap, inside the face mask; 0 is identical.

    The mask is where the target or the exact swap shows the face. The last layers of the network cover almost the whole
    crop at every place. Both images therefore show the exact swap outside the mask, so that what lies there does not
    count at all. The maps of the five layers are enlarged to the crop's size (bilinear), summed, and averaged over the
    mask. `backbone` is as in `lpips`. Published values are comparable with those of `gt_lpips_crop`, not with these.
    """

    whole_crop = False
    info = replace(Lpips.info, needs=("exact",), group="truth", measures=IMAGE, summary_rank=80)

    def measure(self, batch: Batch) -> Tensor:
        if self.whole_crop:
            return self._distance(batch.output, batch.exact)  # (N,)
        inside = batch.mask > 0.5
        return self._distance(torch.where(inside, batch.output, batch.exact), batch.exact, inside)


@metrics.register("gt_lpips_crop")
class GtLpipsCrop(GtLpips):
    """Learned perceptual distance (LPIPS v0.1) between output and exact swap, over the whole crop; 0 is identical.

    It is the published scalar: each layer's map is averaged, and the five means are summed. Most of a crop is
    background, which copying the target keeps exactly: `copy_target` is better here than under the metric of the face
    alone.
    """

    info = replace(GtLpips.info, summary_rank=0)
    whole_crop = True
