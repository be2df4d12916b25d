"""What all distances of distributions share: rows, repeats, what is refused, what wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_features import class_name, copied_rows, made_up_rows

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Metric, Observed, Resampled
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
def test_the_contract(metric: Metric) -> None:
    contracts.check_metric(metric)
    assert metric.info.group == "realism"


@pytest.mark.parametrize("metric", [Fid(), Kid(), FidInfinity(), *NEIGHBOURS], ids=class_name)
def test_a_row_is_the_output_beside_its_target(metric: Metric) -> None:
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(metric.measure(batch(features=features)), torch.cat([features, features + 1], 1))


@pytest.mark.parametrize("metric", [FidFace(), KidFace(), Mmd()], ids=class_name)
def test_a_face_row_is_nan_where_either_side_has_no_face(metric: Metric) -> None:
    toy = contracts.toy_batch(6)
    target = toy.embeddings.target.clone()
    target[1] = torch.nan
    rows = metric.measure(contracts.with_evidence(toy, judge=replace(toy.embeddings, target=target)))
    assert rows.isnan().any(1).tolist() == [False, True, False, False, False, True]
    with pytest.raises(NotScorable, match="no evidence 'judge'"):
        metric.measure(contracts.with_evidence(toy, judge=None))


def test_observers_that_do_not_tell_are_named() -> None:
    with pytest.raises(NotScorable, match="no evidence 'inception'"):
        Fid().measure(contracts.toy_batch(6))
    with pytest.raises(NotScorable, match="inception gives no features"):
        Fid().measure(batch(pool=torch.zeros(6, 3)))
    with pytest.raises(NotScorable, match="the Inception file at hand has no classifier"):
        InceptionScore().measure(batch(features=torch.zeros(6, 3)))


@pytest.mark.parametrize("metric", DISTANCES, ids=class_name)
def test_a_copy_of_the_targets_is_at_0(metric: Metric) -> None:
    assert metric.summarise(copied_rows()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=class_name)
@pytest.mark.parametrize("sources", [1, 4])
def test_a_copy_of_the_targets_is_at_1_whatever_the_number_of_sources(metric: Metric, sources: int) -> None:
    assert metric.summarise(np.tile(copied_rows(), (sources, 1))) == pytest.approx(1)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=class_name)
def test_a_copy_that_was_looked_at_in_another_batch_is_at_1(metric: Metric) -> None:
    rows = copied_rows() + 2
    rows[:, :12] *= 1 + 1e-6 * np.random.default_rng(1).normal(size=(60, 12))
    assert metric.summarise(rows) == pytest.approx(1)


@pytest.mark.parametrize("metric", DISTANCES, ids=class_name)
def test_a_larger_shift_is_farther(metric: Metric) -> None:
    found = [metric.summarise(made_up_rows(shift=s)) for s in (0.0, 0.2, 0.4, 0.8, 1.6)]
    assert np.all(np.diff(found) > 0)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_neither_order_nor_noise_of_the_last_digits_matters(metric: Metric) -> None:
    random = np.random.default_rng(1)
    rows = made_up_rows(80, shift=0.2)
    value = metric.summarise(rows)
    assert metric.summarise(rows[random.permutation(80)]) == pytest.approx(value, rel=1e-10)
    if not isinstance(metric, FidInfinity):  # it draws other subsets
        noisy = rows * (1 + 1e-9 * random.normal(size=rows.shape))
        assert metric.summarise(noisy) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("metric", [each for each in EVERY if isinstance(each, Resampled)], ids=class_name)
def test_a_resample_is_the_value_of_its_rows(metric: Metric) -> None:
    """Copies of a row share its target: kernels leave them out either way."""
    assert isinstance(metric, Resampled)
    rows = made_up_rows(40, shift=0.2)
    index = np.random.default_rng(2).integers(0, 40, 40)
    assert metric.statistic(rows)(index) == pytest.approx(metric.summarise(rows[index]), rel=1e-9)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
def test_features_that_are_not_finite_are_said(metric: Metric) -> None:
    for broken in (np.nan, np.inf):
        rows = made_up_rows()
        rows[3, 5] = broken
        with pytest.raises(NotScorable, match="not finite"):
            metric.summarise(rows)


@pytest.mark.parametrize("metric", EVERY, ids=class_name)
@pytest.mark.parametrize(
    "rows", [made_up_rows(1), np.tile(made_up_rows(1), (20, 1)), made_up_rows(2)], ids=["one", "identical", "two"]
)
def test_too_little_is_said_or_has_a_finite_value(metric: Metric, rows: np.ndarray) -> None:
    if len(rows) < metric.info.min_samples:
        return  # never asked
    if (metric in FRECHET + KERNEL and len(rows) > 2) or metric in NEIGHBOURS:
        with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
            metric.summarise(rows)
    else:
        assert np.isfinite(metric.summarise(rows))


@pytest.mark.parametrize("metric", [*KERNEL, *NEIGHBOURS], ids=class_name)
def test_identical_targets_are_no_distribution(metric: Metric) -> None:
    rows = made_up_rows(20)
    rows[:, 12:] = rows[0, 12:]
    with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
        metric.summarise(rows)
