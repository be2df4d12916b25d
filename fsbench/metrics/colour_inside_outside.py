"""Skin inside of what was pasted against the neck and the forehead that stayed."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._frames import ellipse, lab, sides_of
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

FACE = (0.5, 0.56, (0.22, 0.30))
"""Oval in which skin is looked for inside: x and y of its centre, half axes, in sides of the crop."""

NECK, FOREHEAD = (0.5, 1.12, (0.2, 0.2)), (0.5, 0.24, (0.22, 0.16))
"""Ovals in which it is looked for outside."""

_EYE, _MOUTH = (0.09, 0.085), (0.13, 0.07)  # half axes of what is no skin, as in skin_colour
_LIKE = (25.0, 12.0)  # how far skin outside may be from that inside, in lightness and in a and b, of the frame itself
_FEWEST = 0.004  # of the region: pixels of either side


@metrics.register("colour_inside_outside")
class ColourInsideOutside:
    """How much farther the pasted skin is from the neck and forehead than the frame's own, CIE76; 1 is just visible.

    The mean colour in CIE Lab of the skin inside of what was pasted, without eyes and mouth, less that of the skin
    outside, below the chin and above the brows. A row is the length of the difference between this vector of the output
    and that of the frame as it was. So a face that is lighter than its neck in the frame may be so in the output, and a
    change of the whole frame's light or colour does not count.

    Skin outside is told by its colour: pixels of the frame that differ from the face's median by at most 25 in
    lightness and 12 in the plane of a and b. A frame that shows less of it than 0.4 % of the region, because of a
    beard, a scarf or hair, is not scored. A swap to a person with another skin is not at 0 unless the colours are
    matched: that is what viewers complain about. Copying the target wins.
    """

    info = MetricInfo(
        unit="Delta E",
        direction="lower",
        bounds=(0.0, 260.0),
        needs=("paste_weight",),
        no_face="scored like any other; not scored where too little skin is seen outside",
        reference="CIE 1976 L*a*b*; closed form",
        stages=("frame",),
        measures=("colour",),
        digits=1,
        summary_rank=72,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        weights = batch["paste_weight"][:, 0].cpu().numpy()  # (N, S, S)
        output, target = lab(batch.output), lab(batch.target)  # (N, S, S, 3)
        rows = [mismatch(*images) for images in zip(output, target, weights, strict=True)]
        return torch.tensor(rows, dtype=torch.float64)  # (N,)


def mismatch(output: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Distance of the step in colour between inside and outside from that of the frame; two (S, S, 3) in Lab."""
    size = len(weight)
    pasted, stayed = sides_of(weight)
    inside = pasted & ellipse(size, *FACE) & ~_features(size)
    if inside.mean() < _FEWEST:
        return math.nan
    own = np.median(target[inside], 0)
    away = np.abs(target - own)
    skin = (away[..., 0] <= _LIKE[0]) & (np.hypot(away[..., 1], away[..., 2]) <= _LIKE[1])
    outside = stayed & skin & (ellipse(size, *NECK) | ellipse(size, *FOREHEAD))
    if outside.mean() < _FEWEST:
        return math.nan
    steps = [image[inside].mean(0) - image[outside].mean(0) for image in (output, target)]
    return float(np.linalg.norm(steps[0] - steps[1]))


def _features(size: int) -> np.ndarray:
    """Eyes with their brows, and the mouth, (size, size) bool."""
    mouth = TEMPLATE[3:].mean(0)
    features = ellipse(size, float(mouth[0]), float(mouth[1]) + 0.015, _MOUTH)
    for x, y in TEMPLATE[:2]:
        features |= ellipse(size, float(x), float(y) - 0.03, _EYE)
    return features
