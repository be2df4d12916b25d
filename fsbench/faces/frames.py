"""What is looked at of a frame: a square around the face, aligned and in the scale of the crop, with its surroundings.

It has as many pixels to a face as a crop, so that what networks say of both differs by the paste alone. What a paste
loses of a frame's own resolution is not seen there: the floors of the presets (`fsbench.faces.paste.floor`) tell that.
"""

from __future__ import annotations

import numpy as np
import torch

from fsbench.faces.align import TEMPLATE, align, similarity
from fsbench.faces.paste import PastedFrame
from fsbench.faces.warp import after, warp

SPAN = 1.75
"""Side of the region in sides of the crop: hair, ears, neck and the whole border of every mask lie inside."""

VERSION = "region 2"
"""Changes whenever a region could change; part of the key of whatever is cached."""

REGION = (0.5 + (TEMPLATE - 0.5) / SPAN).astype(np.float32)
"""(5, 2) where the landmarks lie in the region, as fractions of its side."""


def side_of(size: int) -> int:
    """Return the side of the region around crops of `size` pixels.

    >>> side_of(128)
    224
    """
    return round(SPAN * size)


def cut_region(frame: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and (5, 2) landmarks -> (side, side, 3) uint8 and the landmarks in its pixels, (5, 2) float32.

    `size` is that of crops. Beyond the frame its border is repeated.
    """
    return align(frame, landmarks, side_of(size), REGION)


def cut_weight(pasted: PastedFrame, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Share of the face in each pixel of the region, (side, side) uint8; 255 is all."""
    side = side_of(size)
    if not pasted.weight.size:
        return np.zeros((side, side), np.uint8)
    shift = np.array([[1, 0, pasted.corner[0]], [0, 1, pasted.corner[1]]], np.float64)
    to_region = after(similarity(landmarks, REGION * side), shift)
    weight = torch.from_numpy(np.ascontiguousarray(pasted.weight))[None, None]
    levels: np.ndarray = (warp(weight, to_region[None], side, beyond="zeros")[0, 0] * 255).round().byte().numpy()
    return levels
