"""Masks in which a face is pasted back, on a square that is aligned."""

from __future__ import annotations

import torch
from torch import Tensor


def box(size: int, feather: float) -> Tensor:
    """(1, 1, size, size) in [0, 1]: the whole square, fading smoothly to 0 at its border.

    `feather` is the width of the fade as a fraction of half the side; 0 gives 1 everywhere.
    """
    line = ((torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1).abs()
    inside = ((1 - torch.maximum(line[None], line[:, None])) / max(feather, 1e-9)).clamp(0, 1)
    return (inside * inside * (3 - 2 * inside))[None, None]
