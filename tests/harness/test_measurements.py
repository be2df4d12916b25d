"""Features that metrics of distributions share: which outputs count, subsets, and spaces that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fsbench.errors import NotScorable, PluginError
from fsbench.harness import measurements, summarise
from fsbench.harness.failures import Counted, Floor
from fsbench.interfaces import DistributionMetric, MetricInfo, PairedFeatures
from fsbench.metrics.fid import Fid
from fsbench.metrics.precision import Precision


class MeanShift:
    """Mean difference between outputs and targets."""

    info = MetricInfo("", "lower", (-9, 9), ("net",), "-", "-", measures=("colour",), max_samples=20)
    array = "features"

    def statistic(self, features: PairedFeatures) -> Callable[[np.ndarray], float]:
        assert features.scored.all()
        shift = (features.output - features.target[features.target_of]).mean(1)
        return lambda index: float(shift[index].mean())


def features(n: int = 30, t: int = 12, dim: int = 4, seed: int = 0) -> PairedFeatures:
    random = np.random.default_rng(seed)
    target = random.normal(size=(t, dim)).astype(np.float32)
    output = random.normal(size=(n, dim)).astype(np.float32)
    return PairedFeatures.of(output, target[np.arange(n) % t])


def whole(metric: Any, rows: PairedFeatures) -> float:
    chosen = measurements.scored(rows)
    return measurements.statistic(metric, rows, chosen)(np.arange(chosen.sum()))


def test_targets_that_are_equal_to_the_last_bit_are_one() -> None:
    paired = features()
    assert len(paired.target) == 12
    assert np.array_equal(paired.target[paired.target_of][:12], paired.target[paired.target_of][12:24])


def test_features_cannot_be_written_to_and_are_not_copied() -> None:
    output = np.ones((4, 3), np.float32)
    paired = PairedFeatures.of(output, np.arange(12, dtype=np.float32).reshape(4, 3))
    with pytest.raises(ValueError, match="read-only"):
        paired.output[0] = 2
    assert np.shares_memory(paired.output, output)
    assert np.shares_memory(paired.take(np.arange(4)).output, output)
    output[0] = 5  # it is still its owner's


def test_outputs_that_do_not_count_are_not_in_the_value() -> None:
    random = np.random.default_rng(0)
    output, target = random.normal(size=(2, 10, 3)).astype(np.float32)
    output[2], target[5] = np.nan, np.nan
    paired = PairedFeatures.of(output, target)
    assert measurements.scored(paired).tolist() == [i not in (2, 5) for i in range(10)]
    absent = np.arange(10) == 0
    kept = measurements.only(paired, ~absent)
    known = [i for i in range(10) if i not in (0, 2, 5)]
    assert whole(MeanShift(), kept) == pytest.approx(float((output[known] - target[known]).mean()), rel=1e-5)
    assert whole(Fid(), kept) == pytest.approx(whole(Fid(), PairedFeatures.of(output[known], target[known])), rel=1e-9)


def test_indices_are_those_of_the_outputs_that_count() -> None:
    paired = measurements.only(features(6, 6), np.array([False, True, True, False, True, True]))
    of = measurements.statistic(MeanShift(), paired, paired.scored)
    shift = (paired.output - paired.target[paired.target_of]).mean(1)
    assert [of(np.array([i])) for i in range(4)] == pytest.approx(shift[[1, 2, 4, 5]].tolist())


def test_failures_of_a_distribution_are_left_out_and_counted() -> None:
    failed = np.array(["missing", "no_face", "", "unreadable"], object)
    counted = Counted.with_failures(Fid(), features(4, 4), failed, None)
    assert (counted.scored.tolist(), counted.n_absent) == ([False, True, True, False], 2)
    assert not counted.failed.any()
    floor = Floor()
    floor.add("fid", None, features(4, 4))
    assert floor.at(Fid(), "fid", None) is None


@pytest.mark.parametrize("n", [20, 21, 100])
def test_of_more_outputs_than_a_metric_takes_a_subset_is_drawn_by_content(n: int) -> None:
    paired = features(n, n)
    value = whole(MeanShift(), paired)
    order = np.random.default_rng(1).permutation(n)
    shuffled = PairedFeatures.of(paired.output[order], paired.target[paired.target_of][order])
    assert whole(MeanShift(), shuffled) == pytest.approx(value, rel=1e-6)
    shift = (paired.output - paired.target[paired.target_of]).mean(1)
    assert (value == pytest.approx(float(shift.mean()), rel=1e-6)) == (n <= 20)
    drawn = paired.drawn(20, measurements.SEED)
    assert value == pytest.approx(float(shift[drawn].mean()), rel=1e-6)
    assert not np.array_equal(drawn, paired.drawn(20, 1)) or n == 20


def test_a_resample_of_a_subset_is_made_of_its_members() -> None:
    paired = features(50, 50)
    of = measurements.statistic(MeanShift(), paired, paired.scored)
    drawn = np.flatnonzero(paired.drawn(20, measurements.SEED))
    others = np.setdiff1d(np.arange(50), drawn)
    shift = (paired.output - paired.target[paired.target_of]).mean(1)
    assert of(np.r_[drawn[:3], drawn[:1], others]) == pytest.approx(float(shift[drawn[[0, 1, 2, 0]]].mean()), rel=1e-6)
    assert np.isnan(of(others))


def test_a_subset_is_said_with_the_value_and_in_the_protocol() -> None:
    small, large = (Counted.of(features(n, n)) for n in (20, 21))
    assert summarise._cautions(MeanShift(), small) == []
    assert summarise._cautions(MeanShift(), large) == [
        "computed of 20 of 21 outputs, drawn by the content of their features"
    ]
    assert measurements.subset_rule({"fid": Fid()}) == ""
    assert "precision 10,000, shift 20" in measurements.subset_rule({"precision": Precision(), "shift": MeanShift()})


def space(answer: Any) -> Any:
    return SimpleNamespace(features=lambda array: answer)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"net": [1, 2]}, "evidence net gives no features"),
        ({"net": space(None)}, "no features of 5 outputs"),
        ({"net": space(features(4))}, "no features of 5 outputs"),
        ({"net": space(features(5)), "other": space(features(5))}, "needs net, other"),
        ({}, "needs nothing"),
        ({"net": SimpleNamespace(features=lambda array: 1 / 0)}, "evidence net raised ZeroDivisionError"),
    ],
)
def test_evidence_that_is_no_space_of_features_is_named(evidence: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        measurements.features_of(MeanShift(), "shift", evidence, 5)


def test_a_space_without_the_array_has_a_reason() -> None:
    def nothing(array: str) -> PairedFeatures:
        raise NotScorable(f"net gives no {array}")

    with pytest.raises(NotScorable, match="net gives no features"):
        measurements.features_of(MeanShift(), "shift", {"net": SimpleNamespace(features=nothing)}, 5)


def test_a_metric_of_rows_is_none_of_distributions() -> None:
    rows = SimpleNamespace(info=MeanShift.info, measure=None, summarise=None, statistic=None)
    assert not isinstance(rows, DistributionMetric)
    assert isinstance(MeanShift(), DistributionMetric)


def test_all_metrics_of_one_network_share_its_features() -> None:
    paired = features(5)
    given = [measurements.features_of(metric, "m", {"net": space(paired)}, 5) for metric in (Fid(), Precision())]
    assert given[0] is given[1] is paired


def test_a_subset_keeps_the_info_of_its_metric() -> None:
    unlimited = replace(MeanShift.info, max_samples=0)
    metric = SimpleNamespace(info=unlimited, array="features", statistic=MeanShift().statistic)
    paired = features(100, 100)
    shift = (paired.output - paired.target[paired.target_of]).mean()
    assert whole(metric, paired) == pytest.approx(float(shift), rel=1e-5)
