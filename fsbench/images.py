"""The only place that knows files, 8-bit pixels and resize filters.

In memory an image is float32 RGB `(N, 3, H, W)` in [0, 1]. An `ImageSet` holds many as 8-bit and gives them out as such.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Index = int | slice | Sequence[int] | np.ndarray


def to_float(pixels: np.ndarray) -> Tensor:
    """(..., H, W, C) uint8 -> (..., C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3))).float() / 255


def to_bytes(images: Tensor) -> np.ndarray:
    """(..., C, H, W) float in [0, 1] -> (..., H, W, C) uint8, rounded to nearest; values outside are clipped."""
    return np.moveaxis((images.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(), -3, -1)


class ImageSet:
    """Many images of one size, kept as 8-bit pixels; indexing gives float32 `(C, H, W)` or `(N, C, H, W)`."""

    def __init__(self, pixels: np.ndarray) -> None:
        """Take (N, H, W, C) uint8."""
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise TypeError(f"expected (N, H, W, C) uint8, not {pixels.dtype} {pixels.shape}")
        self.pixels = pixels

    @classmethod
    def of(cls, images: Tensor) -> ImageSet:
        """Take (N, C, H, W) float in [0, 1]."""
        return cls(to_bytes(images))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Index) -> Tensor:
        return to_float(self.pixels[index])

    def select(self, index: np.ndarray) -> ImageSet:
        """Return the images that a boolean mask or a list of indices names."""
        return ImageSet(self.pixels[index])

    def content_hash(self) -> str:
        """SHA-256 over shape and pixels, 64 hex digits."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels))
        return digest.hexdigest()
