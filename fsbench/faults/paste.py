"""Faults that a paste leaves inside the face: a cast of colour, an edge, brightness that flickers."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from fsbench.faults.fault import Fault, Scene, chance
from fsbench.faults.pixels import in_pixels
from fsbench.images import ImageSet

_FEATHER = 2.5  # px, standard deviation of what softens the mask
_MARGIN = 4.0  # px that a pasted patch stays inside the face
_FADE = 14.0  # px over which a step at the edge of the patch fades


def inside(scene: Scene) -> Tensor:
    """Share by which each pixel may change, (N, 1, S, S): 1 inside the face, falling smoothly to 0 at its border."""
    from torchvision.transforms.functional import gaussian_blur  # slow to import

    sigma = in_pixels(_FEATHER, scene.mask)
    mask = scene.mask[:]
    soft: Tensor = gaussian_blur(mask, [2 * round(3 * sigma) + 1] * 2, [sigma] * 2)
    return (2 * soft - 1).clamp(min=0) * mask


def _blend(scene: Scene, changed: Tensor, share: Tensor) -> ImageSet:
    return ImageSet.of(torch.lerp(scene.exact[:], changed, share))


def _colour_cast(scene: Scene, strength: float) -> ImageSet:
    from skimage.color import lab2rgb, rgb2lab  # slow to import

    lab = rgb2lab(scene.exact.levels()) + strength * np.array([0.0, 0.6, 0.8])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about colours outside sRGB, which are clipped
        warm = torch.from_numpy(lab2rgb(lab)).permute(0, 3, 1, 2).float()
    return _blend(scene, warm, inside(scene))


def _alpha_seam(scene: Scene, strength: float) -> ImageSet:
    from scipy.ndimage import distance_transform_edt  # slow to import

    margin, fade = in_pixels(_MARGIN, scene.mask), in_pixels(_FADE, scene.mask)
    depth = np.stack([distance_transform_edt(mask[..., 0] > 127) for mask in scene.mask.levels()]) - margin
    step = np.where(depth > 0, (1 - depth / fade).clip(0, 1), 0)
    pasted = scene.exact[:] + torch.from_numpy(strength / 255 * step).float()[:, None]
    return ImageSet.of(pasted)


def _flicker(scene: Scene, strength: float) -> ImageSet:
    change = np.array([chance("flicker", row).standard_normal() for row in scene.ids], np.float32).clip(-2.5, 2.5)
    gain = torch.from_numpy(1 + strength / 100 * change).clamp(min=0)
    return _blend(scene, scene.exact[:] * gain[:, None, None, None], inside(scene))


COLOUR_CAST = Fault(
    "colour_cast",
    "colour",
    "ΔE*ab",
    (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "The face is moved by a known distance in CIE Lab towards orange, its lightness kept.",
    _colour_cast,
)
ALPHA_SEAM = Fault(
    "alpha_seam",
    "blending",
    "levels of 255",
    (4.0, 8.0, 16.0, 32.0, 64.0, 100.0),
    "The face is a patch with a hard edge, brighter there by a known step that fades towards the middle.",
    _alpha_seam,
    also=("colour",),
)
FLICKER = Fault(
    "flicker",
    "flicker",
    "%",
    (2.0, 4.0, 8.0, 14.0, 22.0, 35.0),
    "The brightness of the face is another in each frame, at random with a known standard deviation.",
    _flicker,
    also=("colour",),
)
