"""Pose: known angles by closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_observations import POSES, N, about_z, observed_batch

from fsbench.datasets.synthetic.geometry import rotation
from fsbench.interfaces import Metric
from fsbench.metrics._angles import angle_between, rotations
from fsbench.metrics.gt_pose_error import TILT, GtPoseError, GtPoseErrorFive
from fsbench.metrics.pose_error import PoseError, PoseErrorFive


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 0.5, 30.0, 90.0, 179.9999, 180.0])
@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
def test_a_turn_about_one_axis_is_its_angle(degrees: float, axis: str) -> None:
    turn = torch.from_numpy(rotation(**{"yaw": 0.0, "pitch": 0.0, "roll": 0.0} | {axis: degrees}))[None]
    assert angle_between(turn, torch.eye(3)[None]).item() == pytest.approx(degrees, abs=1e-6)


def test_angle_against_arccos_of_the_trace() -> None:
    first, second = rotations(POSES), rotations(POSES[::-1].copy())
    trace = (first @ second.mT).diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(angle_between(first, second), torch.rad2deg(torch.acos((trace - 1) / 2)), atol=1e-5)
    assert torch.allclose(angle_between(first, second), angle_between(second, first))


def test_a_common_turn_changes_no_angle() -> None:
    first, second, common = rotations(POSES), rotations(POSES[::-1].copy()), rotations(np.array([[20, -50, 70.0]]))
    assert torch.allclose(angle_between(common @ first, common @ second), angle_between(first, second))
    assert torch.allclose(angle_between(first @ common, second @ common), angle_between(first, second))


def test_rotations_are_those_of_the_synthetic_data_set() -> None:
    assert rotations(POSES).numpy() == pytest.approx(np.stack([rotation(*angles) for angles in POSES]))


@pytest.mark.parametrize("metric", [PoseError(), PoseErrorFive()])
def test_pose_error_of_known_turns(metric: Metric) -> None:
    target = rotations(POSES)
    output = rotations(np.array([[25.0, 0, 0]])) @ target
    measured = metric.measure(observed_batch({"rotation": output}, {"rotation": target}))
    assert measured.tolist() == pytest.approx([25.0] * N)
    assert metric.summarise(measured.numpy()) == pytest.approx(25.0)


@pytest.mark.parametrize(("metric", "tilt"), [(GtPoseError(), TILT), (GtPoseErrorFive(), 0.0)])
def test_true_pose_in_an_aligned_crop_is_at_zero_and_an_error_is_its_angle(metric: Metric, tilt: float) -> None:
    """An observer that is right sees the truth, rolled by the alignment, in its own head's frame."""
    frame = torch.from_numpy(rotation(0, tilt, 0))
    aligned = torch.stack([about_z(angle) for angle in (0, 10, -20, 35, 5, -7)])
    right = aligned @ rotations(POSES) @ frame.mT
    assert metric.measure(observed_batch({"rotation": right})).tolist() == pytest.approx([0.0] * N, abs=1e-5)
    for error in (rotation(12, 0, 0), rotation(0, 12, 0), rotation(0, 0, 12)):  # an output's roll counts
        wrong = torch.from_numpy(error) @ right
        assert metric.measure(observed_batch({"rotation": wrong}, {"rotation": right})).tolist() == pytest.approx(
            [12.0] * N
        )


def test_the_roll_of_the_truth_comes_from_the_target_alone() -> None:
    """Of unchanged targets the value is the angle between the directions from which the camera sees the head."""
    seen = rotations(POSES[::-1].copy())
    rows = (seen @ torch.from_numpy(rotation(0, TILT, 0)))[:, 2], rotations(POSES)[:, 2]
    expected = torch.rad2deg(torch.acos((rows[0] * rows[1]).sum(1).clamp(-1, 1)))
    assert torch.allclose(GtPoseError().measure(observed_batch({"rotation": seen})), expected, atol=1e-5)
