"""Pose, expression and gaze: known angles by closed form, invariants, and what cannot be scored; no network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.datasets.synthetic.geometry import rotation
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Metric, Observed
from fsbench.metrics._blendshapes import BLENDSHAPES
from fsbench.metrics._rotation import angle_between, angle_between_gazes, rotations
from fsbench.metrics.expression_error import COMPARED, ExpressionError
from fsbench.metrics.expression_residual import ExpressionResidual, residual
from fsbench.metrics.gaze_error import GazeError
from fsbench.metrics.gt_expression_error import GtExpressionError
from fsbench.metrics.gt_gaze_error import GtGazeError
from fsbench.metrics.gt_pose_error import TILT, GtPoseError
from fsbench.metrics.gt_pose_error_five import GtPoseErrorFive
from fsbench.metrics.opening_error import OpeningError
from fsbench.metrics.pose_error import PoseError
from fsbench.metrics.pose_error_five import PoseErrorFive

N = 6
BATCH = contracts.toy_batch(N)
ARRAYS = {PoseError: "rotation", PoseErrorFive: "rotation", GtPoseError: "rotation", GtPoseErrorFive: "rotation",
          ExpressionError: "blendshapes", GtExpressionError: "blendshapes", ExpressionResidual: "landmarks",
          GazeError: "gaze", GtGazeError: "gaze", OpeningError: "openings"}
ALL = [kind() for kind in ARRAYS]
TRUE = [metric for metric in ALL if metric.info.group == "truth"]
COMPARING = [metric for metric in ALL if metric.info.group != "truth"]
POSES = np.array([(0, 0, 0), (30, -10, 5), (-40, 15, -12), (10, 18, 0), (-5, -3, 30), (60, 0, 0)], float)
KNOWN = pd.DataFrame(POSES, columns=["yaw", "pitch", "roll"]).assign(
    gaze_x=[0.0, 3, -9, 5, 2, -1], gaze_y=[0.0, -2, 1, 4, 0, 3],
    mouth_open=[0.0, 0.5, 0.2, 0.9, 0.1, 0.0], smile=[0.3, 0.0, 0.8, 0.1, 0.0, 1.0],
    blink=[0.0, 0.0, 1.0, 0.2, 0.0, 0.0])


def told(output: dict[str, Tensor], target: dict[str, Tensor] | None = None) -> Batch:
    rows = pd.concat([BATCH.rows[["id", "identity", "session", "clip", "frame"]].reset_index(drop=True), KNOWN], axis=1)
    return replace(BATCH, rows=rows, evidence={**BATCH.evidence, **{
        name: Observed(name, output, output if target is None else target) for name in ("face_mesh", "five_points")}})


def made_up(metric: Metric, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    name = ARRAYS[type(metric)]
    if name == "rotation":
        return {name: rotations(torch.randn(N, 3, generator=random).numpy() * 30)}
    shape = {"blendshapes": (52,), "openings": (3,), "gaze": (2,), "landmarks": (5, 2)}[name]
    return {name: torch.rand(N, *shape, generator=random).double() * 20}


def about_z(degrees: float) -> Tensor:
    return torch.from_numpy(rotation(0, 0, degrees))


# ------------------------------------------------------------------------------------------------------- rotations


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


# ------------------------------------------------------------------------------------------------------------ pose


@pytest.mark.parametrize("metric", [PoseError(), PoseErrorFive()])
def test_pose_error_of_known_turns(metric: Metric) -> None:
    target = rotations(POSES)
    output = rotations(np.array([[25.0, 0, 0]])) @ target
    measured = metric.measure(told({"rotation": output}, {"rotation": target}))
    assert measured.tolist() == pytest.approx([25.0] * N)
    assert metric.summarise(measured.numpy()) == pytest.approx(25.0)


@pytest.mark.parametrize(("metric", "tilt"), [(GtPoseError(), TILT), (GtPoseErrorFive(), 0.0)])
def test_true_pose_in_an_aligned_crop_is_at_zero_and_an_error_is_its_angle(metric: Metric, tilt: float) -> None:
    """An observer that is right sees the truth, rolled by the alignment, in its own head's frame."""
    frame = torch.from_numpy(rotation(0, tilt, 0))
    aligned = torch.stack([about_z(angle) for angle in (0, 10, -20, 35, 5, -7)])
    right = aligned @ rotations(POSES) @ frame.mT
    assert metric.measure(told({"rotation": right})).tolist() == pytest.approx([0.0] * N, abs=1e-5)
    for error in (rotation(12, 0, 0), rotation(0, 12, 0), rotation(0, 0, 12)):  # an output's roll counts
        wrong = torch.from_numpy(error) @ right
        assert metric.measure(told({"rotation": wrong}, {"rotation": right})).tolist() == pytest.approx([12.0] * N)


def test_the_roll_of_the_truth_comes_from_the_target_alone() -> None:
    """Of unchanged targets the value is the angle between the directions from which the camera sees the head."""
    seen = rotations(POSES[::-1].copy())
    rows = (seen @ torch.from_numpy(rotation(0, TILT, 0)))[:, 2], rotations(POSES)[:, 2]
    expected = torch.rad2deg(torch.acos((rows[0] * rows[1]).sum(1).clamp(-1, 1)))
    assert torch.allclose(GtPoseError().measure(told({"rotation": seen})), expected, atol=1e-5)


# ------------------------------------------------------------------------------------------------------ expression


def test_expression_error_is_the_distance_over_mouth_jaw_and_blink() -> None:
    target = {"blendshapes": torch.full((N, 52), 0.25)}
    moved = target["blendshapes"].clone()
    moved[:, BLENDSHAPES.index("jawOpen")] += 0.3
    moved[:, BLENDSHAPES.index("eyeBlinkLeft")] += 0.4
    for ignored in ("_neutral", "browInnerUp", "eyeLookInLeft", "eyeSquintLeft", "cheekPuff", "noseSneerLeft"):
        moved[:, BLENDSHAPES.index(ignored)] = 1.0
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert len(COMPARED) == 29
    assert ExpressionError().measure(told({"blendshapes": moved}, target)).tolist() == pytest.approx([0.5] * N)
    opposite = told({"blendshapes": torch.ones(N, 52)}, {"blendshapes": torch.zeros(N, 52)})
    assert ExpressionError().measure(opposite).tolist() == pytest.approx([ExpressionError.info.bounds[1]] * N)


def test_opening_error_is_the_distance_of_the_openings() -> None:
    target = torch.full((N, 3), 10.0)
    moved = target + torch.tensor([3.0, 0.0, -4.0])
    measured = OpeningError().measure(told({"openings": moved}, {"openings": target}))
    assert measured.tolist() == pytest.approx([5.0] * N)


def test_true_expressions_are_at_zero_and_errors_are_averaged() -> None:
    scores = torch.zeros(N, 52, dtype=torch.float64)
    scores[:, BLENDSHAPES.index("jawOpen")] = torch.tensor(KNOWN["mouth_open"].to_numpy())
    for stem in ("smile", "blink"):
        for side, step in (("Left", 0.1), ("Right", -0.1)):  # the mean of both sides counts
            name = {"smile": "mouthSmile", "blink": "eyeBlink"}[stem] + side
            scores[:, BLENDSHAPES.index(name)] = torch.tensor(KNOWN[stem].to_numpy()) + step
    assert GtExpressionError().measure(told({"blendshapes": scores})).tolist() == pytest.approx([0.0] * N)
    scores[:, BLENDSHAPES.index("jawOpen")] += 0.3
    assert GtExpressionError().measure(told({"blendshapes": scores})).tolist() == pytest.approx([0.1] * N)


def turned(points: Tensor, degrees: float, scale: float, shift: tuple[float, float]) -> Tensor:
    return scale * points @ about_z(degrees)[:2, :2].mT + torch.tensor(shift)


def test_the_residual_ignores_turns_scales_and_shifts_of_either() -> None:
    output, target = (made_up(ExpressionResidual(), seed)["landmarks"] for seed in (1, 2))
    before = residual(output, target)
    assert (before > 1).all()
    assert torch.allclose(residual(turned(output, 35, 0.4, (3, -8)), target), before)
    assert torch.allclose(residual(output, turned(target, -70, 2.5, (-1, 4))), before)
    assert residual(turned(target, 20, 1.7, (5, 5)), target).tolist() == pytest.approx([0.0] * N, abs=1e-6)


def test_the_residual_of_a_stretched_square() -> None:
    """Corners (+-1, +-1) and a middle, stretched by 1 +- a along the axes: the best scale is 1 / (1 + a^2).

    The corners are then off by a (1 - a) / (1 + a^2) across and a (1 + a) / (1 + a^2) down, of eyes that are 2 apart.
    """
    square, a = torch.tensor([(-1.0, -1), (1, -1), (0, 0), (-1, 1), (1, 1)])[None], 0.2
    stretched = square * torch.tensor([1 + a, 1 - a])
    off = math.hypot(a * (1 - a), a * (1 + a)) / (1 + a * a)
    assert residual(stretched, square).item() == pytest.approx(100 * off * math.sqrt(4 / 5) / 2)


# ------------------------------------------------------------------------------------------------------------ gaze


@pytest.mark.parametrize(("first", "second", "degrees"), [
    ((0, 0), (10, 0), 10.0), ((0, -5), (0, 20), 25.0), ((-15, 0), (15, 0), 30.0), ((90, 0), (0, 0), 90.0),
    ((30, 40), (0, 0), math.degrees(math.acos(math.cos(math.radians(30)) * math.cos(math.radians(40)))))])
def test_known_angles_between_gazes(first: tuple[float, ...], second: tuple[float, ...], degrees: float) -> None:
    one, other = torch.tensor([first]).double(), torch.tensor([second]).double()
    assert angle_between_gazes(one, other).item() == pytest.approx(degrees)
    assert angle_between_gazes(other, one).item() == pytest.approx(degrees)


def test_gaze_errors_of_gazes_that_are_turned() -> None:
    true = torch.tensor(KNOWN[["gaze_x", "gaze_y"]].to_numpy())
    level = true * torch.tensor([1.0, 0.0])
    aside = level + torch.tensor([7.0, 0.0])
    assert GazeError().measure(told({"gaze": aside}, {"gaze": level})).tolist() == pytest.approx([7.0] * N)
    assert GtGazeError().measure(told({"gaze": true})).tolist() == pytest.approx([0.0] * N, abs=1e-6)
    higher = true + torch.tensor([0.0, 6.0])
    assert GtGazeError().measure(told({"gaze": higher}, {"gaze": true})).tolist() == pytest.approx([6.0] * N)


# ------------------------------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_contract(metric: Metric) -> None:
    contracts.check_metric(metric)


@pytest.mark.parametrize("metric", COMPARING, ids=lambda metric: type(metric).__name__)
def test_unchanged_targets_are_at_zero_and_sides_may_be_exchanged(metric: Metric) -> None:
    one, other = made_up(metric, 1), made_up(metric, 2)
    assert metric.measure(told(one)).tolist() == pytest.approx([0.0] * N, abs=1e-6)
    if not isinstance(metric, ExpressionResidual):       # which is in units of the target's eyes
        assert torch.allclose(metric.measure(told(one, other)), metric.measure(told(other, one)))


@pytest.mark.parametrize("metric", COMPARING, ids=lambda metric: type(metric).__name__)
def test_angles_are_checked_by_angles_of_the_same_observer_and_expressions_by_nothing(metric: Metric) -> None:
    """The true coefficients are three, and compared on another scale: their error would be told in the wrong unit."""
    checks = {"gt_pose_error": GtPoseError, "gt_pose_error_five": GtPoseErrorFive, "gt_gaze_error": GtGazeError}
    if metric.info.measures == ("expression",):
        assert not metric.info.checked_by
    else:
        check = checks[metric.info.checked_by].info
        assert (check.needs, check.unit, check.measures) == (
            (*metric.info.needs, "exact"), metric.info.unit, metric.info.measures)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_an_output_without_a_face_is_not_scored_and_harms_no_other(metric: Metric) -> None:
    output, target = made_up(metric, 1), made_up(metric, 2)
    name = ARRAYS[type(metric)]
    before = metric.measure(told(output, target))
    lost = output[name].clone()
    lost[2] = torch.nan
    after = metric.measure(told({name: lost}, target))
    assert after.isnan().tolist() == [i == 2 for i in range(N)]
    assert torch.equal(after[[0, 1, 3, 4, 5]], before[[0, 1, 3, 4, 5]])


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_no_observer_is_said(metric: Metric) -> None:
    with pytest.raises(NotScorable, match="no evidence 'f"):
        metric.measure(replace(told(made_up(metric, 1)), evidence={}))
    with pytest.raises(NotScorable, match=f"no {ARRAYS[type(metric)]}"):
        metric.measure(told({}))


@pytest.mark.parametrize("metric", TRUE, ids=lambda metric: type(metric).__name__)
def test_photographs_have_no_truth(metric: Metric) -> None:
    """They have columns yaw and pitch as well, which are estimates."""
    batch = told(made_up(metric, 1))
    assert "exact" in metric.info.needs
    with pytest.raises(NotScorable, match="does not know the true"):
        metric.measure(replace(batch, rows=batch.rows.drop(columns=["roll", "gaze_y", "blink"])))
