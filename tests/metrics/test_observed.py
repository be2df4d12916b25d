"""What all metrics of pose, gaze and expression share: contracts, invariants, what cannot be scored; no network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from metric_observations import N, observed_batch
from torch import Tensor

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.interfaces import Metric
from fsbench.metrics._angles import rotations
from fsbench.metrics.expression_error import ExpressionError
from fsbench.metrics.expression_residual import ExpressionResidual
from fsbench.metrics.gaze_error import GazeError
from fsbench.metrics.gt_expression_error import GtExpressionError
from fsbench.metrics.gt_gaze_error import GtGazeError
from fsbench.metrics.gt_pose_error import GtPoseError, GtPoseErrorFive
from fsbench.metrics.opening_error import OpeningError
from fsbench.metrics.pose_error import PoseError, PoseErrorFive

ARRAYS = {
    PoseError: "rotation",
    PoseErrorFive: "rotation",
    GtPoseError: "rotation",
    GtPoseErrorFive: "rotation",
    ExpressionError: "blendshapes",
    GtExpressionError: "blendshapes",
    ExpressionResidual: "landmarks",
    GazeError: "gaze",
    GtGazeError: "gaze",
    OpeningError: "openings",
}
ALL = [kind() for kind in ARRAYS]
TRUE = [metric for metric in ALL if metric.info.group == "truth"]
COMPARING = [metric for metric in ALL if metric.info.group != "truth"]


def made_up_arrays(metric: Metric, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    name = ARRAYS[type(metric)]
    if name == "rotation":
        return {name: rotations(torch.randn(N, 3, generator=random).numpy() * 30)}
    shape = {"blendshapes": (52,), "openings": (3,), "gaze": (2,), "landmarks": (5, 2)}[name]
    return {name: torch.rand(N, *shape, generator=random).double() * 20}


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_contract(metric: Metric) -> None:
    contracts.check_metric(metric)


@pytest.mark.parametrize("metric", COMPARING, ids=lambda metric: type(metric).__name__)
def test_unchanged_targets_are_at_zero_and_sides_may_be_exchanged(metric: Metric) -> None:
    one, other = made_up_arrays(metric, 1), made_up_arrays(metric, 2)
    assert metric.measure(observed_batch(one)).tolist() == pytest.approx([0.0] * N, abs=1e-6)
    if not isinstance(metric, ExpressionResidual):  # which is in units of the target's eyes
        assert torch.allclose(metric.measure(observed_batch(one, other)), metric.measure(observed_batch(other, one)))


@pytest.mark.parametrize("metric", COMPARING, ids=lambda metric: type(metric).__name__)
def test_angles_are_checked_by_angles_of_the_same_observer_and_expressions_by_nothing(metric: Metric) -> None:
    """The true coefficients are three, and compared on another scale: their error would be told in the wrong unit."""
    checks = {"gt_pose_error": GtPoseError, "gt_pose_error_five": GtPoseErrorFive, "gt_gaze_error": GtGazeError}
    if metric.info.measures == ("expression",):
        assert not metric.info.checked_by
    else:
        check = checks[metric.info.checked_by].info
        assert (check.needs, check.unit, check.measures) == (
            (*metric.info.needs, "exact"),
            metric.info.unit,
            metric.info.measures,
        )


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_an_output_without_a_face_is_not_scored_and_harms_no_other(metric: Metric) -> None:
    output, target = made_up_arrays(metric, 1), made_up_arrays(metric, 2)
    name = ARRAYS[type(metric)]
    before = metric.measure(observed_batch(output, target))
    lost = output[name].clone()
    lost[2] = torch.nan
    after = metric.measure(observed_batch({name: lost}, target))
    assert after.isnan().tolist() == [i == 2 for i in range(N)]
    assert torch.equal(after[[0, 1, 3, 4, 5]], before[[0, 1, 3, 4, 5]])


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_no_observer_is_said(metric: Metric) -> None:
    with pytest.raises(NotScorable, match="no evidence 'f"):
        metric.measure(replace(observed_batch(made_up_arrays(metric, 1)), evidence={}))
    with pytest.raises(NotScorable, match=f"no {ARRAYS[type(metric)]}"):
        metric.measure(observed_batch({}))


@pytest.mark.parametrize("metric", TRUE, ids=lambda metric: type(metric).__name__)
def test_photographs_have_no_truth(metric: Metric) -> None:
    """They have columns yaw and pitch as well, which are estimates."""
    batch = observed_batch(made_up_arrays(metric, 1))
    assert "exact" in metric.info.needs
    with pytest.raises(NotScorable, match="does not know the true"):
        metric.measure(replace(batch, rows=batch.rows.drop(columns=["roll", "gaze_y", "blink"])))
