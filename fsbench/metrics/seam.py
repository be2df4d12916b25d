"""Seams: contrast along the border of what was pasted into a frame."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._frames import lab
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

SECTORS = 24
"""Parts of the border, by the angle about the middle of the face, whose two sides are compared."""

WIDTH = 0.02
"""Width of the strips on both sides of the border, as a share of the region's side."""

_FEWEST = 4  # pixels of a strip in a sector, without which that is left out


@metrics.register("seam")
class Seam:
    """Contrast across the border of the pasted face above that of the frame itself, CIE76; 1 is just visible.

    The border is where the output and the frame have equal shares. Strips of 2 % of the region's side lie along it,
    inside and outside, and are cut into 24 sectors. A sector has the distance in CIE Lab of the mean colours of its two
    strips, without what the spread of their pixels explains, less the same of the frame as it was, and 0 where the
    frame has more: a jaw before a dark background is no seam. A row is the mean over sectors.

    Means hide noise and texture: grain of 8 levels in crops of 128 pixels makes 0.6 of it. A mask that is faded over
    more than the strips' width hides a step as it does for the eye. What lies within the face does not count. On drawn
    portraits a crop that is pasted back unchanged is at 0.2 or less. An output of which nothing was pasted, or whose
    border lies outside the frame, is not scored. Copying the target wins.
    """

    info = MetricInfo(
        unit="Delta E",
        direction="lower",
        bounds=(0.0, 260.0),
        needs=("paste_weight",),
        no_face="scored like any other",
        reference="CIE 1976 L*a*b*; closed form",
        stages=("frame",),
        measures=("blending",),
        digits=2,
        summary_rank=71,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        weights = batch["paste_weight"][:, 0].cpu().numpy()  # (N, S, S)
        output, target = lab(batch.output), lab(batch.target)  # (N, S, S, 3)
        rows = [seam(*images) for images in zip(output, target, weights, strict=True)]
        return torch.tensor(rows, dtype=torch.float64)  # (N,)


def seam(output: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Mean excess of the contrast across the border of a weight (S, S) in [0, 1], of two images (S, S, 3) in Lab."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    inside = weight > 0.5
    if not inside.any() or inside.all():
        return math.nan
    size = len(weight)
    rows, columns = np.nonzero(inside)
    y, x = np.mgrid[:size, :size]
    sector = ((np.arctan2(y - rows.mean(), x - columns.mean()) / (2 * np.pi) % 1) * SECTORS).astype(int) % SECTORS
    strips = [(side & (distance_transform_edt(side) <= max(2.0, WIDTH * size))).ravel() for side in (inside, ~inside)]
    excess = [
        np.maximum(0, _contrast(output, strips, sector, where) - _contrast(target, strips, sector, where))
        for where in range(SECTORS)
    ]
    known = [value for value in excess if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def _contrast(image: np.ndarray, strips: list[np.ndarray], sector: np.ndarray, where: int) -> float:
    """Distance of the mean colours of the two strips of one sector; NaN where one has too few pixels."""
    pixels, own = image.reshape(-1, 3), sector.ravel() == where
    sides = [pixels[strip & own] for strip in strips]
    if min(map(len, sides)) < _FEWEST:
        return math.nan
    step = sides[0].mean(0) - sides[1].mean(0)
    by_chance = sum(float(side.var(0, ddof=1).sum()) / len(side) for side in sides)  # square of the step of two means
    return math.sqrt(max(0.0, float(step @ step) - by_chance))
