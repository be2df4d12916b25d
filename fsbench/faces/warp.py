"""Images through similarity transforms, batched and on their device."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_FINEST = 8  # samples along a pixel of the result; who asks more has no face


def warp(
    images: Tensor,
    transforms: np.ndarray,
    size: int | tuple[int, int],
    beyond: Literal["border", "zeros"] = "border",
    mode: Literal["bilinear", "bicubic"] = "bilinear",
) -> Tensor:
    """(N, C, H, W) images through `transforms` (N, 2, 3), from their pixels to those of the result (N, C, *size).

    Averaged where the result has fewer pixels than the image, so that nothing aliases. Beyond an image its border
    pixels are repeated, or there is 0. A transform that is not finite gives an image of NaN.
    """
    height, width = (size, size) if isinstance(size, int) else size
    side, goal = np.array([images.shape[-1], images.shape[-2]]), np.array([width, height])
    step = np.linalg.inv(transforms[:, :, :2])  # from one pixel of the result to the next, in the image's
    centre = step @ (goal[:, None] / 2 - transforms[:, :, 2:])  # (N, 2, 1)
    across = step * goal / side[:, None]  # in half sides of the image, of half sides of the result
    theta = torch.from_numpy(np.concatenate([across, 2 * centre / side[:, None] - 1], 2)).to(images)
    finer = np.ceil(np.hypot(*step[:, :, 0].T) - 0.1).clip(1, _FINEST)
    warped = images.new_full((len(images), images.shape[1], height, width), torch.nan)
    for samples in np.unique(finer[np.isfinite(finer)]).astype(int):
        rows = torch.from_numpy(np.flatnonzero(finer == samples)).to(images.device)
        shape = [len(rows), images.shape[1], height * samples, width * samples]
        grid = F.affine_grid(theta[rows], shape, align_corners=False)
        sampled = F.grid_sample(images[rows], grid, mode, beyond, align_corners=False)
        warped[rows] = F.avg_pool2d(sampled, samples) if samples > 1 else sampled
    return warped


def inverse(transforms: np.ndarray) -> np.ndarray:
    """(..., 2, 3) -> the transforms that take everything back, (..., 2, 3) float64."""
    back = np.linalg.inv(transforms[..., :2])
    return np.concatenate([back, -back @ transforms[..., 2:]], -1)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Both (..., 2, 3) -> the transform that is `first`, and `second` after it."""
    turn = second[..., :2] @ first[..., :2]
    return np.concatenate([turn, second[..., :2] @ first[..., 2:] + second[..., 2:]], -1)
