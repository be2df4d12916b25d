"""Optical flow between two frames: following it, and where it cannot be trusted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_CLOSED, _CLOSED_AT_REST = 0.01, 0.5
_SMOOTH, _SMOOTH_AT_REST = 0.01, 0.002
"""Share of the squared flow, and squared pixels beside it, by which flow there and back may differ, and neighbours may.

As in Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, after Ruder et al., GCPR 2016.
"""


def follow(images: Tensor, flow: Tensor) -> Tensor:
    """Show at each pixel of (N, C, S, S) images what lies where (N, 2, S, S) pixels, right and down, lead from there.

    Bilinear; places outside show the border.
    """
    n, _, height, width = images.shape
    still = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3).to(images), [n, 1, height, width], align_corners=False)
    step = 2 * flow.permute(0, 2, 3, 1) / torch.tensor([width, height]).to(images)
    return F.grid_sample(images, still + step, mode="bilinear", padding_mode="border", align_corners=False)


def visible(forward: Tensor, backward: Tensor) -> Tensor:
    """Where the first frame's pixels are seen in the second, (N, 1, S, S) bool, of flow there and back (N, 2, S, S).

    Left out are pixels whose way there and back does not close, and borders of motion, where flow is smeared.
    """
    back = follow(backward, forward)
    size, own = (back**2).sum(1), (forward**2).sum(1)
    closed = ((forward + back) ** 2).sum(1) <= _CLOSED * (own + size) + _CLOSED_AT_REST
    right, down = forward.diff(dim=3), forward.diff(dim=2)
    slope = F.pad((right**2).sum(1), (0, 1)) + F.pad((down**2).sum(1), (0, 0, 0, 1))
    return (closed & (slope <= _SMOOTH * own + _SMOOTH_AT_REST))[:, None]
