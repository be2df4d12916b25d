"""Chips: the square that a network was trained on, cut out of a crop and put back, batched and on the crops' device."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.warp import inverse, warp

ARCFACE = 0.5 + (TEMPLATE - 0.5) / 0.72
"""(5, 2) where InsightFace's recognisers want the landmarks, as fractions of the chip's side."""


def cut_chips(crops: Tensor, landmarks: Tensor, template: np.ndarray, size: int) -> Tensor:
    """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 3, size, size) chips in [0, 1].

    `template` (5, 2) says where on the chip the landmarks belong, as fractions of its side; the similarity that comes
    nearest by least squares takes them there. Bilinear, averaged where the chip has fewer pixels than the crop, so that
    nothing aliases. Beyond the crop its border pixels are repeated. Landmarks that coincide give a chip of NaN.
    """
    with np.errstate(invalid="ignore"):
        to_chip = similarity(landmarks.cpu().numpy(), template * size)  # (N, 2, 3)
    return warp(crops, to_chip, size)


def paste_chips(
    chips: Tensor, alpha: Tensor, crops: Tensor, landmarks: Tensor, template: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Put chips back where `cut_chips` took them: the crops (N, 3, S, S) that follow, and the alpha in their pixels.

    (N, 3, h, h) chips and (N or 1, 1, h, h) alpha of them; bicubic, averaged where the crop has fewer pixels. The alpha
    that is returned, (N, 1, S, S), is 0 outside the chip: nothing changes there, and nowhere where landmarks coincide.
    """
    side, size = chips.shape[-1], crops.shape[-1]
    with np.errstate(invalid="ignore"):
        to_crop = inverse(similarity(landmarks.cpu().numpy(), template * side))  # (N, 2, 3)
    weight = warp(alpha.expand(len(chips), -1, -1, -1), to_crop, size, beyond="zeros").nan_to_num(0)
    face = warp(chips, to_crop, size, mode="bicubic").nan_to_num(0).clamp(0, 1)
    return weight * face + (1 - weight) * crops, weight
