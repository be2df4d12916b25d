"""Structural similarity to the exact swap."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._truth import IMAGE, compare
from fsbench.registry import metrics


def ssim(exact: np.ndarray, output: np.ndarray, where: np.ndarray) -> float:
    """Mean of the structural similarity map over some of the pixels, images in [0, 1]."""
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

    Gaussian window of sigma 1.5 on each colour channel, as published; the map is averaged where the target or the exact
    swap shows the face, and windows at its border see a little beyond it.

    `fsbench validate`: a cast of colour of 32 Delta E costs a ninth of what noise of 64 levels does, a turned gaze next
    to nothing: structure is what it sees.
    """

    whole_crop = False
    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(-1.0, 1.0),
        needs=("truth",),
        group="truth",
        measures=IMAGE,
        no_face="scored like any other",
        reference="Wang et al., IEEE TIP 13(4), 2004; scikit-image structural_similarity",
        summary_rank=100,
    )

    def measure(self, batch: Batch) -> Tensor:
        return compare(batch, ssim, whole_crop=self.whole_crop)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
