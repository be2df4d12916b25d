"""Faults of the whole output: detail that is lost or added, and a face in the wrong place."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fsbench.faults.fault import Fault, Scene, chance
from fsbench.images import ImageSet

SIDE = 128
"""Side of the crop to whose pixels strengths in pixels refer."""


def in_pixels(length: float, images: ImageSet) -> float:
    """Turn a length in pixels of a crop of SIDE into pixels of these crops."""
    size: int = images.shape[1]
    return length * size / SIDE


def resample(images: Tensor, shift: Tensor, zoom: float = 1.0) -> Tensor:
    """Move (N, 3, S, S) by (N, 2) pixels, right and down, enlarged about the middle, in one bicubic step.

    Pixels from outside repeat the border.
    """
    return transform(images, (torch.eye(2) / zoom).expand(len(images), 2, 2), -shift / zoom)


def transform(images: Tensor, matrix: Tensor, place: Tensor) -> Tensor:
    """Show at p of (N, 3, S, S) what is at matrix @ p + place, (N, 2, 2) and (N, 2), in pixels from the middle."""
    grid = F.affine_grid(
        torch.cat([matrix, 2 * place[:, :, None] / images.shape[-1]], 2).to(images),
        list(images.shape),
        align_corners=False,
    )
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)


def blur(images: Tensor, strength: float) -> Tensor:
    """Blur (N, 3, S, S) with a Gaussian whose standard deviation is `strength` pixels of a crop of SIDE."""
    from torchvision.transforms.functional import gaussian_blur  # slow to import

    sigma = strength * images.shape[-1] / SIDE
    blurred: Tensor = gaussian_blur(images, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma] * 2)
    return blurred


def _blur(scene: Scene, strength: float) -> ImageSet:
    return ImageSet.of(blur(scene.exact[:], strength))


def _noise(scene: Scene, strength: float) -> ImageSet:
    shape = scene.exact.shape[1:]
    grain = np.stack([chance("noise", row).standard_normal(shape, np.float32) for row in scene.ids])
    return ImageSet((scene.exact.levels() + strength * grain).round().clip(0, 255).astype(np.uint8))


def _jpeg(scene: Scene, strength: float) -> ImageSet:
    def squeeze(pixels: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="JPEG", quality=round(100 - strength))
        return np.asarray(Image.open(file))

    return ImageSet(np.stack([squeeze(pixels) for pixels in scene.exact.levels()]))


def _shift(scene: Scene, strength: float) -> ImageSet:
    right = torch.tensor([in_pixels(strength, scene.exact), 0.0]).expand(len(scene.exact), 2)
    return ImageSet.of(resample(scene.exact[:], right))


def _scale(scene: Scene, strength: float) -> ImageSet:
    return ImageSet.of(resample(scene.exact[:], torch.zeros(len(scene.exact), 2), 1 + strength / 100))


BLUR = Fault(
    "blur",
    "detail",
    "px",
    (0.6, 1.0, 1.5, 2.5, 4.0, 6.0),
    "The output is blurred with a Gaussian whose standard deviation is the strength.",
    _blur,
)
NOISE = Fault(
    "noise",
    "detail",
    "levels of 255",
    (2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
    "Independent Gaussian noise of a known standard deviation is added to every channel.",
    _noise,
)
JPEG = Fault(
    "jpeg",
    "detail",
    "100 - quality",
    (5.0, 20.0, 40.0, 60.0, 80.0, 92.0),
    "The output went through JPEG of a known quality, colour at half resolution.",
    _jpeg,
)
SHIFT = Fault(
    "shift",
    "geometry",
    "px",
    (1.0, 2.0, 4.0, 6.0, 9.0, 13.0),
    "The output is moved to the right by a known distance, the same for all.",
    _shift,
)
SCALE = Fault(
    "scale",
    "geometry",
    "%",
    (1.0, 2.0, 4.0, 8.0, 14.0, 22.0),
    "The output is enlarged about its middle by a known factor.",
    _scale,
)
