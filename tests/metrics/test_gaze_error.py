"""Gaze: known angles."""

from __future__ import annotations

import math

import pytest
import torch
from metric_observations import KNOWN, N, observed_batch

from fsbench.metrics._angles import angle_between_gazes
from fsbench.metrics.gaze_error import GazeError
from fsbench.metrics.gt_gaze_error import GtGazeError


@pytest.mark.parametrize(
    ("first", "second", "degrees"),
    [
        ((0, 0), (10, 0), 10.0),
        ((0, -5), (0, 20), 25.0),
        ((-15, 0), (15, 0), 30.0),
        ((90, 0), (0, 0), 90.0),
        ((30, 40), (0, 0), math.degrees(math.acos(math.cos(math.radians(30)) * math.cos(math.radians(40))))),
    ],
)
def test_known_angles_between_gazes(first: tuple[float, ...], second: tuple[float, ...], degrees: float) -> None:
    one, other = torch.tensor([first]).double(), torch.tensor([second]).double()
    assert angle_between_gazes(one, other).item() == pytest.approx(degrees)
    assert angle_between_gazes(other, one).item() == pytest.approx(degrees)


def test_gaze_errors_of_gazes_that_are_turned() -> None:
    true = torch.tensor(KNOWN[["gaze_x", "gaze_y"]].to_numpy())
    level = true * torch.tensor([1.0, 0.0])
    aside = level + torch.tensor([7.0, 0.0])
    assert GazeError().measure(observed_batch({"gaze": aside}, {"gaze": level})).tolist() == pytest.approx([7.0] * N)
    assert GtGazeError().measure(observed_batch({"gaze": true})).tolist() == pytest.approx([0.0] * N, abs=1e-6)
    higher = true + torch.tensor([0.0, 6.0])
    assert GtGazeError().measure(observed_batch({"gaze": higher}, {"gaze": true})).tolist() == pytest.approx([6.0] * N)
