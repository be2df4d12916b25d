"""What all distances of distributions share: rows, repeats, what is refused, what wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_features import class_name, copied_rows, made_up_rows, paired, value

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, DistributionMetric, Observed
from fsbench.metrics.coverage import Coverage
from fsbench.metrics.density import Density
from fsbench.metrics.fid import Fid, FidClean, FidFace
from fsbench.metrics.fid_infinity import FidInfinity
from fsbench.metrics.inception_score import InceptionScore
from fsbench.metrics.kid import Kid, KidClean, KidFace
from fsbench.metrics.mmd import Mmd
from fsbench.metrics.precision import Precision
from fsbench.metrics.recall import Recall

FRECHET = [Fid(), FidClean(), FidFace()]
KERNEL = [Kid(), KidClean(), KidFace(), Mmd(), Mmd(sigma=10.0)]
NEIGHBOURS = [Precision(), Recall(), Density(), Coverage()]
DISTANCES = [*FRECHET, FidInfinity(), *KERNEL]
EVERY = [*DISTANCES, InceptionScore(), *NEIGHBOURS]


def batch(**arrays: torch.Tensor) -> Batch:
    """A toy batch with these arrays of Inception for outputs, and for targets 1 more."""
    observed = Observed("inception", arrays, {k: v + 1 for k, v in arrays.items()})
    return contracts.with_evidence(contracts.toy_batch(6), inception=observed)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_the_contract(metric: DistributionMetric) -> None:
    contracts.check_metric(metric)
    assert metric.info.group == "realism"


def test_metrics_of_distributions_name_what_they_compare() -> None:
    assert all(isinstance(metric, DistributionMetric) and not hasattr(metric, "measure") for metric in EVERY)
    assert {metric.array for metric in EVERY} == {"features", "logits"}


@pytest.mark.parametrize("metric", [FidFace(), KidFace(), Mmd()], ids=class_name)
def test_an_output_does_not_count_where_either_side_has_no_face(metric: DistributionMetric) -> None:
    toy = contracts.toy_batch(6)
    target = toy.embeddings.target.clone()
    target[1] = torch.nan
    features = replace(toy.embeddings, target=target).features(metric.array)
    assert features.scored.tolist() == [True, False, True, True, True, False]


def test_observers_that_do_not_tell_are_named() -> None:
    with pytest.raises(NotScorable, match="inception gives no features"):
        batch(pool=torch.zeros(6, 3))["inception"].features(Fid.array)
    with pytest.raises(NotScorable, match="inception gives no logits"):
        batch(features=torch.zeros(6, 3))["inception"].features(InceptionScore.array)
    with pytest.raises(NotScorable, match="toy gives no logits"):
        contracts.toy_batch(6).embeddings.features("logits")


@pytest.mark.parametrize("metric", DISTANCES, ids=class_name)
def test_a_copy_of_the_targets_is_at_0(metric: DistributionMetric) -> None:
    assert value(metric, copied_rows()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=class_name)
@pytest.mark.parametrize("sources", [1, 4])
def test_a_copy_of_the_targets_is_at_1_whatever_the_number_of_sources(metric: DistributionMetric, sources: int) -> None:
    assert value(metric, np.tile(copied_rows(), (sources, 1))) == pytest.approx(1)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=class_name)
def test_a_copy_that_was_looked_at_in_another_batch_is_at_1(metric: DistributionMetric) -> None:
    rows = copied_rows() + 2
    rows[:, :12] *= 1 + 1e-6 * np.random.default_rng(1).normal(size=(60, 12))
    assert value(metric, rows) == pytest.approx(1)


@pytest.mark.parametrize("metric", DISTANCES, ids=class_name)
def test_a_larger_shift_is_farther(metric: DistributionMetric) -> None:
    found = [value(metric, made_up_rows(shift=s)) for s in (0.0, 0.2, 0.4, 0.8, 1.6)]
    assert np.all(np.diff(found) > 0)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_neither_order_nor_noise_of_the_last_digits_matters(metric: DistributionMetric) -> None:
    random = np.random.default_rng(1)
    rows = made_up_rows(80, shift=0.2)
    whole = value(metric, rows)
    assert value(metric, rows[random.permutation(80)]) == pytest.approx(whole, rel=1e-10)
    if not isinstance(metric, FidInfinity):  # it draws other subsets
        noisy = rows * (1 + 1e-9 * random.normal(size=rows.shape))
        assert value(metric, noisy) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_a_resample_is_the_value_of_its_rows(metric: DistributionMetric) -> None:
    """Copies of a row share its target: kernels leave them out either way."""
    rows = made_up_rows(40, shift=0.2)
    index = np.random.default_rng(2).integers(0, 40, 40)
    assert metric.statistic(paired(rows))(index) == pytest.approx(value(metric, rows[index]), rel=1e-9)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_features_that_are_not_finite_are_said(metric: DistributionMetric) -> None:
    for column, broken in ((5, np.inf), (5, -np.inf), (20, np.inf)):
        rows = made_up_rows()
        rows[3, column] = broken
        with pytest.raises(NotScorable, match="not finite"):
            value(metric, rows)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
@pytest.mark.parametrize(
    "rows", [made_up_rows(1), np.tile(made_up_rows(1), (20, 1)), made_up_rows(2)], ids=["one", "identical", "two"]
)
def test_too_little_is_said_or_has_a_finite_value(metric: DistributionMetric, rows: np.ndarray) -> None:
    if len(rows) < metric.info.min_samples:
        return  # never asked
    if (metric in FRECHET + KERNEL and len(rows) > 2) or metric in NEIGHBOURS:
        with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
            value(metric, rows)
    else:
        assert np.isfinite(value(metric, rows))


@pytest.mark.parametrize("metric", [*KERNEL, *NEIGHBOURS], ids=class_name)
def test_identical_targets_are_no_distribution(metric: DistributionMetric) -> None:
    rows = made_up_rows(20)
    rows[:, 12:] = rows[0, 12:]
    with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
        value(metric, rows)
