"""Learned perceptual distance between outputs and the exact swaps."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.metrics._truth import IMAGE
from fsbench.metrics.lpips import Lpips
from fsbench.registry import metrics


@metrics.register("gt_lpips")
class GtLpips(Lpips):
    """Learned perceptual distance (LPIPS v0.1) between the output and the exact swap, inside the face mask.

    The mask is where the target or the exact swap shows the face. A network's last layers see almost the whole crop
    from every place; so that what lies outside does not count at all, both images show the exact swap there. The maps
    of the five layers are enlarged to the crop's size (bilinear), summed, and averaged over the mask. `backbone` as in
    `lpips`; published values are not comparable, they are those of `gt_lpips_crop`.
    """

    whole_crop = False
    info = replace(Lpips.info, needs=("truth",), group="truth", measures=IMAGE, summary_rank=80)

    def measure(self, batch: Batch) -> Tensor:
        if batch.exact is None:
            raise NotScorable("the data set does not know the exact swaps")
        if self.whole_crop:
            return self._distance(batch.output, batch.exact)  # (N,)
        inside = batch.mask > 0.5
        return self._distance(torch.where(inside, batch.output, batch.exact), batch.exact, inside)
