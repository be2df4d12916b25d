"""Distances of distributions as metrics: which rows they are made of, what repeats, what is refused, what wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.errors import BadParameter, NotScorable
from fsbench.interfaces import Batch, Metric, Observed, Resampled
from fsbench.metrics.coverage import Coverage
from fsbench.metrics.density import Density
from fsbench.metrics.fid import Fid
from fsbench.metrics.fid_clean import FidClean
from fsbench.metrics.fid_face import FidFace
from fsbench.metrics.fid_infinity import FidInfinity
from fsbench.metrics.inception_score import InceptionScore
from fsbench.metrics.kid import Kid
from fsbench.metrics.kid_clean import KidClean
from fsbench.metrics.kid_face import KidFace
from fsbench.metrics.mmd import Mmd
from fsbench.metrics.precision import Precision
from fsbench.metrics.recall import Recall
from fsbench.stats.bootstrap import cluster_bootstrap

FRECHET = [Fid(), FidClean(), FidFace()]
KERNEL = [Kid(), KidClean(), KidFace(), Mmd(), Mmd(sigma=10.0)]
NEIGHBOURS = [Precision(), Recall(), Density(), Coverage()]
DISTANCES = [*FRECHET, FidInfinity(), *KERNEL]
EVERY = [*DISTANCES, InceptionScore(), *NEIGHBOURS]
TWO_SIDED = [*DISTANCES, *NEIGHBOURS]


def name(metric: Metric) -> str:
    return type(metric).__name__


def pair(n: int = 60, dim: int = 12, noise: float = 0.5, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rows of made-up features: outputs that keep something of their targets."""
    random = np.random.default_rng(seed)
    target = random.normal(size=(n, dim))
    output = (target + noise * random.normal(size=(n, dim))) / np.sqrt(1 + noise**2) + shift
    return np.concatenate([output, target], 1)


def copies(n: int = 60, dim: int = 12) -> np.ndarray:
    target = np.random.default_rng(0).normal(size=(n, dim))
    return np.concatenate([target, target], 1)


def batch(**arrays: torch.Tensor) -> Batch:
    """A toy batch with these arrays of Inception for outputs, and for targets 1 more."""
    observed = Observed("inception", arrays, {k: v + 1 for k, v in arrays.items()})
    return contracts.with_evidence(contracts.toy_batch(6), inception=observed)


@pytest.mark.parametrize("metric", EVERY, ids=name)
def test_the_contract(metric: Metric) -> None:
    contracts.check_metric(metric)
    assert metric.info.group == "realism"


# ------------------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize("metric", [Fid(), Kid(), FidInfinity(), *NEIGHBOURS], ids=name)
def test_a_row_is_the_output_beside_its_target(metric: Metric) -> None:
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(metric.measure(batch(features=features)), torch.cat([features, features + 1], 1))


@pytest.mark.parametrize("metric", [FidFace(), KidFace(), Mmd()], ids=name)
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


# ---------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("metric", DISTANCES, ids=name)
def test_a_copy_of_the_targets_is_at_0(metric: Metric) -> None:
    assert metric.summarise(copies()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=name)
@pytest.mark.parametrize("sources", [1, 4])
def test_a_copy_of_the_targets_is_at_1_whatever_the_number_of_sources(metric: Metric, sources: int) -> None:
    assert metric.summarise(np.tile(copies(), (sources, 1))) == pytest.approx(1)


@pytest.mark.parametrize("metric", NEIGHBOURS, ids=name)
def test_a_copy_that_was_looked_at_in_another_batch_is_at_1(metric: Metric) -> None:
    rows = copies() + 2
    rows[:, :12] *= 1 + 1e-6 * np.random.default_rng(1).normal(size=(60, 12))
    assert metric.summarise(rows) == pytest.approx(1)


@pytest.mark.parametrize("metric", FRECHET, ids=name)
def test_a_shift_adds_its_square_in_every_dimension(metric: Metric) -> None:
    rows = copies()
    rows[:, :12] += 0.3
    assert metric.summarise(rows) == pytest.approx(12 * 0.09, rel=1e-9)


def test_the_published_bandwidth_sees_the_means_only() -> None:
    """On unit vectors MMD^2 under sigma = 10 is |difference of the means|^2 / sigma^2; under 1 it sees the spread."""
    random = np.random.default_rng(0)
    narrow, wide = np.full((400, 2, 8), [1.0, *[0.0] * 7]), np.full((400, 2, 8), [1.0, *[0.0] * 7])
    narrow[:, 0, 1:] = 0.2 * random.normal(size=(400, 7))
    wide[:, 0, 1] = random.choice([-1, 1], 400)
    for each in (narrow, wide):
        each[:, 1, 1:] = 0.2 * random.normal(size=(400, 7))
        each /= np.linalg.norm(each, axis=2, keepdims=True)
        rows = each.reshape(400, 16)
        apart = np.linalg.norm(each[:, 0].mean(0) - each[:, 1].mean(0)) ** 2
        assert Mmd(sigma=10.0).summarise(rows) == pytest.approx(1000 * apart / 100, rel=0.05, abs=0.02)
    opposite = np.concatenate([np.tile([[1.0, 0], [-1, 0]], (50, 1)), np.tile([[0, 1.0], [0, -1]], (50, 1))], 1)
    opposite[:, 2:] += 1e-3 * random.normal(size=(100, 2))                  # no two targets alike
    assert abs(Mmd(sigma=10.0).summarise(opposite)) < 0.5
    assert Mmd().summarise(opposite) > 100


@pytest.mark.parametrize("metric", KERNEL, ids=name)
def test_kernel_distances_of_one_distribution_are_0_on_average(metric: Metric) -> None:
    found = [metric.summarise(pair(20, seed=seed)) for seed in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("metric", DISTANCES, ids=name)
def test_a_larger_shift_is_farther(metric: Metric) -> None:
    found = [metric.summarise(pair(shift=s)) for s in (0.0, 0.2, 0.4, 0.8, 1.6)]
    assert np.all(np.diff(found) > 0)


@pytest.mark.parametrize("metric", [Precision(), Density()], ids=name)
def test_outputs_that_leave_the_targets_are_less_precise(metric: Metric) -> None:
    found = [metric.summarise(pair(200, 4, shift=s)) for s in (0.0, 0.8, 1.6, 3.2)]
    assert np.all(np.diff(found) < 0)


@pytest.mark.parametrize("metric", [Recall(), Coverage()], ids=name)
def test_outputs_that_are_alike_hold_fewer_targets(metric: Metric) -> None:
    rows, found = pair(200, 4), []
    for s in (1.0, 0.5, 0.2, 0.05):
        found.append(metric.summarise(np.concatenate([s * rows[:, :4], rows[:, 4:]], 1)))
    assert np.all(np.diff(found) < 0)


def test_independent_samples_of_one_distribution_have_the_expected_density_and_coverage() -> None:
    """Naeem et al., section 3.3: density 1, coverage 1 - 1 / 2^k for as many outputs as targets."""
    rows = np.random.default_rng(0).normal(size=(1000, 8))
    assert Density().summarise(rows) == pytest.approx(1, abs=0.1)
    assert Coverage().summarise(rows) == pytest.approx(1 - 0.5**5, abs=0.02)


def logits(shares: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(shares, 1e-30)) + np.arange(len(shares))[:, None]  # a constant per image changes nothing


def test_inception_score_of_what_is_known() -> None:
    score = InceptionScore().summarise
    assert score(logits(np.full((10, 7), 1 / 7))) == pytest.approx(1)
    assert score(logits(np.tile(np.eye(7), (3, 1)))) == pytest.approx(7)
    assert score(logits(np.eye(1008))) == pytest.approx(1008)
    assert score(logits(np.eye(7)[[2] * 5])) == pytest.approx(1)            # identical images
    half = np.array([[0.8, 0.2], [0.4, 0.6]])
    divergence = (half * np.log(half / [[0.6, 0.4]])).sum(1).mean()
    assert score(logits(half)) == pytest.approx(np.exp(divergence))


def test_inception_score_is_torch_fidelitys_in_one_split() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    rows = 3 * np.random.default_rng(0).normal(size=(50, 20))
    found = theirs.isc_features_to_metric(torch.from_numpy(rows), splits=1)
    assert InceptionScore().summarise(rows) == pytest.approx(found["inception_score_mean"], rel=1e-9)


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("metric", EVERY, ids=name)
def test_neither_order_nor_noise_of_the_last_digits_matters(metric: Metric) -> None:
    random = np.random.default_rng(1)
    rows = pair(80, shift=0.2)
    value = metric.summarise(rows)
    assert metric.summarise(rows[random.permutation(80)]) == pytest.approx(value, rel=1e-10)
    if not isinstance(metric, FidInfinity):                                 # it draws other subsets
        noisy = rows * (1 + 1e-9 * random.normal(size=rows.shape))
        assert metric.summarise(noisy) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("metric", [*FRECHET, FidInfinity()], ids=name)
def test_frechet_distances_are_symmetric(metric: Metric) -> None:
    rows = pair(shift=0.2)
    swapped = np.concatenate([rows[:, 12:], rows[:, :12]], 1)
    assert metric.summarise(rows) == pytest.approx(metric.summarise(swapped), rel=1e-8 if metric in FRECHET else 0.5)


@pytest.mark.parametrize("metric", KERNEL, ids=name)
def test_targets_that_serve_several_sources_add_no_bias(metric: Metric) -> None:
    """20 targets, three outputs each, of one distribution: the mean over draws is 0; with all pairs it is above."""
    found = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        target = np.repeat(random.normal(size=(20, 6)), 3, 0)
        output = np.sqrt(0.7) * target + np.sqrt(0.3) * random.normal(size=(60, 6))
        found.append(metric.summarise(np.concatenate([output, target], 1)))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("metric", [each for each in EVERY if isinstance(each, Resampled)], ids=name)
def test_a_resample_is_the_value_of_its_rows(metric: Metric) -> None:
    """Copies of a row share its target: kernels leave them out either way."""
    assert isinstance(metric, Resampled)
    rows = pair(40, shift=0.2)
    index = np.random.default_rng(2).integers(0, 40, 40)
    assert metric.statistic(rows)(index) == pytest.approx(metric.summarise(rows[index]), rel=1e-9)


# ------------------------------------------------------------------------------------------------------- intervals


Interval = tuple[float, float]


def coverage(metric: Metric, world: Callable[[int], tuple[np.ndarray, np.ndarray]], worlds: int = 150) -> float:
    """Share of intervals that hold the mean of the values over worlds: what they cover is spread, not bias."""
    assert isinstance(metric, Resampled)
    assert metric.info.interval == "centred"
    found = []
    for seed in range(worlds):
        rows, sessions = world(seed)
        of = metric.statistic(rows)
        value = of(np.arange(len(rows)))
        interval = cluster_bootstrap(of, sessions, np.zeros(len(rows)), resamples=150, seed=seed, centre=value)
        assert interval is not None
        found.append((value, *interval))
    value, low, high = np.array(found).T
    return float(np.mean((low <= value.mean()) & (value.mean() <= high)))


def test_the_interval_of_fid_covers_its_spread() -> None:
    """More images than dimensions, and a distance that is not 0: binomial error 1.8 points."""
    assert 0.91 <= coverage(Fid(), lambda seed: (pair(100, 4, shift=0.5, seed=seed), np.arange(100))) <= 0.995


def test_the_interval_of_fid_is_wide_rather_than_narrow_with_fewer_images_than_dimensions() -> None:
    assert coverage(Fid(), lambda seed: (pair(40, 60, shift=0.2, seed=seed), np.arange(40)), 60) >= 0.95


def test_the_interval_of_inception_score_covers_its_spread() -> None:
    def world(seed: int) -> tuple[np.ndarray, np.ndarray]:
        return 2 * np.random.default_rng(seed).normal(size=(100, 5)), np.arange(100)

    assert 0.90 <= coverage(InceptionScore(), world) <= 0.995


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("metric", EVERY, ids=name)
def test_features_that_are_not_finite_are_said(metric: Metric) -> None:
    for broken in (np.nan, np.inf):
        rows = pair()
        rows[3, 5] = broken
        with pytest.raises(NotScorable, match="not finite"):
            metric.summarise(rows)


@pytest.mark.parametrize("metric", EVERY, ids=name)
@pytest.mark.parametrize("rows", [pair(1), np.tile(pair(1), (20, 1)), pair(2)], ids=["one", "identical", "two"])
def test_too_little_is_said_or_has_a_finite_value(metric: Metric, rows: np.ndarray) -> None:
    if len(rows) < metric.info.min_samples:
        return                                                              # never asked
    if (metric in FRECHET + KERNEL and len(rows) > 2) or metric in NEIGHBOURS:
        with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
            metric.summarise(rows)
    else:
        assert np.isfinite(metric.summarise(rows))


@pytest.mark.parametrize("metric", [*KERNEL, *NEIGHBOURS], ids=name)
def test_identical_targets_are_no_distribution(metric: Metric) -> None:
    rows = pair(20)
    rows[:, 12:] = rows[0, 12:]
    with pytest.raises(NotScorable, match=r"same image|there are 1 different targets"):
        metric.summarise(rows)


def test_a_bandwidth_that_is_none_is_refused() -> None:
    with pytest.raises(BadParameter, match="positive number"):
        Mmd(sigma=0)
