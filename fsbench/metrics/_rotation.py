"""Angles between rotations and between gazes, and the true pose, shared by the metrics of pose and gaze."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch

DEGREES = (0.0, 180.0)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """(N, 3, 3) rotations twice -> (N,) degrees of the turn that takes the one to the other; NaN where either is."""
    turn = first.double() @ second.double().mT
    twist = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]])
    return torch.rad2deg(torch.atan2(twist.norm(dim=0), turn.diagonal(dim1=1, dim2=2).sum(1) - 1))


def rotations(yaw_pitch_roll: np.ndarray) -> Tensor:
    """(N, 3) degrees -> (N, 3, 3) float64 from the head to the image: roll, then pitch, then yaw."""
    from scipy.spatial.transform import Rotation

    return torch.from_numpy(Rotation.from_euler("YXZ", yaw_pitch_roll, degrees=True).as_matrix())


def angle_between_gazes(first: Tensor, second: Tensor) -> Tensor:
    """(N, 2) degrees right and up, twice -> (N,) degrees."""
    one, other = _direction(first), _direction(second)
    return torch.rad2deg(torch.atan2(torch.linalg.cross(one, other).norm(dim=1), (one * other).sum(1)))


def _direction(gaze: Tensor) -> Tensor:
    right, up = torch.deg2rad(gaze.double()).unbind(1)
    return torch.stack([right.sin() * up.cos(), up.sin(), right.cos() * up.cos()], 1)


def error_of_true_pose(batch: Batch, observer: str, tilt: float) -> Tensor:
    """Angle between the output's estimated and the target's true pose, (N,) degrees; raises NotScorable.

    `tilt` is the pitch, in degrees, that takes the observer's head frame to the data set's. A crop is aligned, so that
    the roll it shows is not the one that is known: the true pose is rolled until it comes nearest to what is estimated
    of the *target*, never of the output, whose own roll counts.
    """
    true = rotations(true_values(batch, ("yaw", "pitch", "roll")).numpy())
    frame = rotations(np.array([[0.0, tilt, 0.0]]))[0]
    output, target = (told.cpu().double() @ frame for told in batch.observed(observer, "rotation"))
    apart = true @ target.mT
    roll = torch.atan2(apart[:, 0, 1] - apart[:, 1, 0], apart[:, 0, 0] + apart[:, 1, 1])
    cosine, sine, zero, one = roll.cos(), roll.sin(), torch.zeros_like(roll), torch.ones_like(roll)
    rolled = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1).view(-1, 3, 3)
    return angle_between(output, rolled @ true)


def true_values(batch: Batch, columns: tuple[str, ...]) -> Tensor:
    """(N, K) float64: what the data set knows of the targets, which the exact swap keeps.

    Raises NotScorable where it does not know them. A metric that uses them needs `exact` too: of photographs, columns
    of that name are estimates themselves.
    """
    if not set(columns) <= set(batch.rows.columns):
        raise NotScorable(f"the data set does not know the true {', '.join(columns)}")
    return torch.tensor(batch.rows[list(columns)].to_numpy(np.float64))
