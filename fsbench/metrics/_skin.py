"""Skin inside the face mask, and the difference of two skin colours."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.faces.align import TEMPLATE

MARGIN = 0.03
"""Width of the border of a mask, as a share of the crop's side: hair, paste edges and resampling mix surfaces there."""

_ABOVE_EYES, _EYE = 0.03, (0.09, 0.085)
_BELOW_MOUTH, _MOUTH = 0.015, (0.13, 0.07)
"""Ovals about the eyes with their brows, and about the mouth: distance of the centre from the landmark, half axes."""

DELTA_E = (0.0, 120.0)
"""Bounds of CIEDE2000 between sRGB colours: the largest difference is 119, between dark blue and yellow green."""


def grown(mask: Tensor) -> Tensor:
    """Grow (N, 1, S, S) bool masks by a margin of 3 % of the side."""
    size = mask.shape[-1]
    for axis in (2, 3):
        before, mask = mask, mask.clone()
        for step in range(1, max(1, round(MARGIN * size)) + 1):  # thirty times as fast as max_pool2d on a CPU
            mask.narrow(axis, step, size - step).logical_or_(before.narrow(axis, 0, size - step))
            mask.narrow(axis, 0, size - step).logical_or_(before.narrow(axis, step, size - step))
    return mask


def skin(mask: Tensor) -> Tensor:
    """Skin inside (N, 1, S, S) face masks, bool: the mask without its border, eyes, brows and mouth.

    Crops are aligned, so that eyes and mouth are at known places. In profile these places are off. Nostrils, beard and
    glasses are not removed.
    """
    size = mask.shape[-1]
    step = (torch.arange(size, device=mask.device) + 0.5) / size
    y, x = torch.meshgrid(step, step, indexing="ij")
    eyes, mouth = TEMPLATE[:2], TEMPLATE[3:].mean(0)
    features = _oval(x, y, mouth[0], mouth[1] + _BELOW_MOUTH, _MOUTH)
    for eye in eyes:
        features |= _oval(x, y, eye[0], eye[1] - _ABOVE_EYES, _EYE)
    return ~grown(mask <= 0.5) & ~features  # (N, 1, S, S)


def _oval(x: Tensor, y: Tensor, centre_x: float, centre_y: float, half: tuple[float, float]) -> Tensor:
    return ((x - centre_x) / half[0]) ** 2 + ((y - centre_y) / half[1]) ** 2 < 1


def delta_e(images: Tensor, others: Tensor, where: Tensor) -> Tensor:
    """CIEDE2000 between the mean colours of (N, 3, S, S) images, (N,) float64; NaN where (N, 1, S, S) `where` is empty.

    Levels are averaged in sRGB, as they are stored. The means are compared in CIE Lab under D65. Noise and blur do not
    change such a mean. CIE 142-2001; Sharma, Wu & Dalal, Color Research & Application 30(1), 2005.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab  # slow to import, and not every command measures

    weight = where.double().cpu()
    means = [(side.double().cpu() * weight).sum((2, 3)) / weight.sum((2, 3)) for side in (images, others)]
    first, second = (rgb2lab(mean.numpy()) for mean in means)  # (N, 3) each
    return torch.from_numpy(deltaE_ciede2000(first, second))  # type: ignore[no-untyped-call]
