"""Structural similarity to the exact swap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._truth import IMAGE, per_image
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


def ssim(output: Tensor, exact: Tensor, mask: Tensor | None = None) -> Tensor:
    """Similarity of (N, 3, H, W) images in [0, 1], over all pixels or those of (N, 1, H, W) masks, (N,) float64."""
    return per_image(_ssim, output, exact, mask)


def _ssim(exact: np.ndarray, output: np.ndarray, where: np.ndarray) -> float:
    from skimage.metrics import structural_similarity  # slow to import, and not every command measures

    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        exact,
        output,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[where].mean())


@metrics.register("gt_ssim")
class GtSsim:
    """Structural similarity between the output and the exact swap, inside the face mask; 1 is identical.

    The window is Gaussian with sigma 1.5, on each colour channel, as published. The map is averaged where the target or
    the exact swap shows the face. Windows at the mask's border reach a little beyond it.

    `fsbench validate`: a cast of colour of 32 Delta E costs a ninth of what noise of 64 levels does, a turned gaze next
    to nothing: the metric measures structure.
    """

    whole_crop = False
    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(-1.0, 1.0),
        needs=("exact",),
        group="truth",
        measures=IMAGE,
        no_face="scored like any other",
        reference="Wang et al., IEEE TIP 13(4), 2004; scikit-image structural_similarity",
        summary_rank=100,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return ssim(batch.output, batch.exact, None if self.whole_crop else batch.mask)  # (N,)


@metrics.register("gt_ssim_crop")
class GtSsimCrop(GtSsim):
    """Structural similarity between the output and the exact swap, over the whole crop; 1 is identical.

    Everything else is as in `gt_ssim`. Most of a crop is background, which copying the target keeps exactly:
    `copy_target` is higher here than under the metric of the face alone.
    """

    info = replace(GtSsim.info, summary_rank=0)
    whole_crop = True
