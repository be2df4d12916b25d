"""Pose by five landmarks: the rotation by closed form, and its error on synthetic images whose pose is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.datasets.synthetic.geometry import rotation
from fsbench.faces import pose as poses
from fsbench.observers.five_points import FivePoints

CROPS = torch.zeros(1, 3, 64, 64)


def project(turn: np.ndarray) -> torch.Tensor:
    """Landmarks (1, 5, 2) of the mean face, turned and seen from afar."""
    points = poses._FACE @ turn.T * 20
    return torch.tensor(points[None, :, :2] * (1, -1) + 32, dtype=torch.float32)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 15, 0), (0, 0, -20), (25, -10, 8)])
def test_the_turn_of_the_mean_face_is_found(angles: tuple[float, float, float]) -> None:
    turn = rotation(*angles)
    seen = FivePoints().observe(CROPS, project(turn))
    assert seen["rotation"][0].numpy() == pytest.approx(turn, abs=1e-4)
    assert torch.equal(seen["landmarks"], project(turn))


def test_nothing_is_told_where_no_face_was_found() -> None:
    points = torch.cat([project(np.eye(3)), torch.full((1, 5, 2), torch.nan)])
    seen = FivePoints().observe(CROPS.expand(2, -1, -1, -1), points)
    assert seen["rotation"].isnan().all((1, 2)).tolist() == [False, True]
    alone = FivePoints().observe(CROPS, points[1:])
    assert alone["rotation"].isnan().all()
    assert not FivePoints().observe(CROPS[:0], points[:0])["rotation"].numel()


def test_it_keeps_the_contract() -> None:
    contracts.check_observer(FivePoints())
