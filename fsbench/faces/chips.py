"""Chips: the square that a recogniser was trained on, cut out of a crop, batched and on the crops' device."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.faces.align import TEMPLATE, similarity

ARCFACE = 0.5 + (TEMPLATE - 0.5) / 0.72
"""(5, 2) where InsightFace's recognisers want the landmarks, as fractions of the chip's side."""

_FINEST = 8  # samples along a chip's pixel; who asks more has no face


def cut_chips(crops: Tensor, landmarks: Tensor, template: np.ndarray, size: int) -> Tensor:
    """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 3, size, size) chips in [0, 1].

    `template` (5, 2) says where on the chip the landmarks belong, as fractions of its side; the similarity that comes
    nearest by least squares takes them there. Bilinear, averaged where the chip has fewer pixels than the crop, so that
    nothing aliases. Beyond the crop its border pixels are repeated. Landmarks that coincide give a chip of NaN.
    """
    side = crops.shape[-1]
    with np.errstate(invalid="ignore"):
        to_chip = similarity(landmarks.cpu().numpy(), template * size)  # (N, 2, 3)
    step = np.linalg.inv(to_chip[:, :, :2])  # from one pixel of the chip to the next, in the crop's
    centre = step @ (size / 2 - to_chip[:, :, 2:])  # (N, 2, 1)
    theta = torch.from_numpy(np.concatenate([step * size / side, 2 * centre / side - 1], 2)).to(crops)
    finer = np.ceil(np.hypot(*step[:, :, 0].T) - 0.1).clip(1, _FINEST)
    chips = crops.new_full((len(crops), crops.shape[1], size, size), torch.nan)
    for samples in np.unique(finer[np.isfinite(finer)]).astype(int):
        rows = torch.from_numpy(np.flatnonzero(finer == samples)).to(crops.device)
        grid = F.affine_grid(
            theta[rows], [len(rows), crops.shape[1], size * samples, size * samples], align_corners=False
        )
        sampled = F.grid_sample(crops[rows], grid, "bilinear", "border", align_corners=False)
        chips[rows] = F.avg_pool2d(sampled, samples) if samples > 1 else sampled
    return chips
