"""Angles between rotations and between gazes, shared by the metrics of pose and gaze."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DEGREES = (0.0, 180.0)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Angle of the turn from one rotation to the other: (N, 3, 3) twice -> (N,) degrees; NaN where either is NaN."""
    turn = first.double() @ second.double().mT
    twist = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]])
    return torch.rad2deg(torch.atan2(twist.norm(dim=0), turn.diagonal(dim1=1, dim2=2).sum(1) - 1))


def rotations(yaw_pitch_roll: np.ndarray) -> Tensor:
    """(N, 3) degrees -> (N, 3, 3) float64 from the head to the image: roll, then pitch, then yaw."""
    from scipy.spatial.transform import Rotation

    return torch.from_numpy(Rotation.from_euler("YXZ", yaw_pitch_roll, degrees=True).as_matrix())


def angle_between_gazes(first: Tensor, second: Tensor) -> Tensor:
    """Angle between two gazes: (N, 2) degrees right and up, twice -> (N,) degrees."""
    one, other = _direction(first), _direction(second)
    return torch.rad2deg(torch.atan2(torch.linalg.cross(one, other).norm(dim=1), (one * other).sum(1)))


def _direction(gaze: Tensor) -> Tensor:
    right, up = torch.deg2rad(gaze.double()).unbind(1)
    return torch.stack([right.sin() * up.cos(), up.sin(), right.cos() * up.cos()], 1)
