"""Fréchet distances by closed form, against SciPy's matrix square root, and by invariants."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from fsbench.stats.frechet import FrechetOfFeatures, LinearFrechet, Moments, frechet_distance, frechet_infinity

RANDOM = np.random.default_rng(0)


def features(n: int, dim: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Correlated, with variances over two orders of magnitude."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(dim, dim)) * np.geomspace(1, 0.1, dim)
    return scale * random.normal(size=(n, dim)) @ mixing / np.sqrt(dim) + shift


def of_moments(x: np.ndarray, y: np.ndarray) -> float:
    return frechet_distance(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))


def of_features(x: np.ndarray, y: np.ndarray) -> float:
    return FrechetOfFeatures(x, y)(np.ones(len(x)), np.ones(len(y)))


BOTH = pytest.mark.parametrize("distance", [of_moments, of_features])
Distance = Callable[[np.ndarray, np.ndarray], float]


# ---------------------------------------------------------------------------------------------------- closed forms


def test_published_oracle_of_means_0_and_1() -> None:
    """pytorch-fid's test: D = 2048, unit covariances."""
    one = np.eye(2048)
    assert frechet_distance(np.zeros(2048), one, np.ones(2048), one) == pytest.approx(2048, rel=1e-12)


def test_published_oracle_of_three_flat_images() -> None:
    """pytorch-fid's test: images of 0, 0.5 and 1 have mean 0.5 and covariance 0.25 in all channels."""
    moments = Moments(3)
    moments.add(np.repeat([[0.0], [0.5], [1.0]], 3, axis=1))
    assert moments.mean.tolist() == [0.5] * 3
    assert moments.cov.ravel().tolist() == [0.25] * 9


def test_commuting_covariances() -> None:
    a, b = RANDOM.uniform(0, 4, 50), RANDOM.uniform(0, 4, 50)
    rotation = np.linalg.qr(RANDOM.normal(size=(50, 50))).Q
    found = frechet_distance(np.zeros(50), rotation * a @ rotation.T, np.zeros(50), rotation * b @ rotation.T)
    assert found == pytest.approx(((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)


def test_one_dimension() -> None:
    assert frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[9.0]])) == pytest.approx(5)


def test_point_masses_are_their_distance_apart() -> None:
    none = np.zeros((3, 3))
    assert frechet_distance(np.zeros(3), none, np.array([1.0, 2.0, 2.0]), none) == 9


@BOTH
@pytest.mark.parametrize("n", [40, 300])  # fewer than dimensions, and more
def test_a_set_is_at_0_from_itself(distance: Distance, n: int) -> None:
    x = features(n, 100)
    assert 0 <= distance(x, x) < 1e-6 * np.cov(x, rowvar=False).trace()


@BOTH
@pytest.mark.parametrize("n", [40, 300])
def test_a_shift_adds_its_square_in_every_dimension(distance: Distance, n: int) -> None:
    x = features(n, 100)
    assert distance(x, x + 0.7) == pytest.approx(100 * 0.49, rel=1e-6)


@BOTH
@pytest.mark.parametrize("n", [40, 300])
def test_a_scale_adds_its_share_of_mean_and_variance(distance: Distance, n: int) -> None:
    x = features(n, 100, shift=0.3)
    expected = 0.25 * ((x.mean(0) ** 2).sum() + np.cov(x, rowvar=False).trace())
    assert distance(x, 1.5 * x) == pytest.approx(expected, rel=1e-6)


# ------------------------------------------------------------------------------------------- oracle and the two forms


def with_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.linalg import sqrtm

    cov_1, cov_2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so where the product is singular
        root = sqrtm(cov_1 @ cov_2).trace()  # and is complex there
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_1 + cov_2) - 2 * root.real)


@BOTH
@pytest.mark.parametrize(
    ("n", "m"), [(400, 300), (40, 60), (60, 40), (400, 30), (30, 400), (101, 101), (2, 2)], ids=str
)
def test_it_agrees_with_the_matrix_square_root(distance: Distance, n: int, m: int) -> None:
    x, y = features(n, 100, 1), features(m, 100, 2, 1.2, 0.05)
    assert distance(x, y) == pytest.approx(with_sqrtm(x, y), rel=1e-6)


@pytest.mark.parametrize("n", [40, 99, 101, 300])
def test_symmetric_and_the_same_in_both_forms(n: int) -> None:
    x, y = features(n, 100, 1), features(n + 20, 100, 2, 1.2)
    assert of_moments(x, y) == pytest.approx(of_moments(y, x), rel=1e-8)
    assert of_features(x, y) == pytest.approx(of_features(y, x), rel=1e-8)
    assert of_features(x, y) == pytest.approx(of_moments(x, y), rel=1e-7)


@BOTH
def test_more_noise_is_farther(distance: Distance) -> None:
    x = features(200, 60, 1)
    noise = features(200, 60, 2)
    assert np.all(np.diff([distance(x, x + s * noise) for s in (0, 0.1, 0.2, 0.5, 1, 2)]) > 0)


@pytest.mark.parametrize("n", [30, 300])
def test_weights_are_copies(n: int) -> None:
    x, y = features(n, 50, 1), features(n, 50, 2)
    index = np.random.default_rng(3).integers(0, n, n)
    counts = np.bincount(index, minlength=n)
    assert FrechetOfFeatures(x, y)(counts, counts) == pytest.approx(of_moments(x[index], y[index]), rel=1e-6)


def test_agreement_with_clean_fid() -> None:
    fid = pytest.importorskip("cleanfid.fid")
    x, y = features(500, 64, 1), features(400, 64, 2, 1.2)
    moments = [each for side in (x, y) for each in (side.mean(0), np.cov(side, rowvar=False))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            theirs = fid.frechet_distance(*moments)
    except TypeError:
        pytest.skip("clean-fid calls sqrtm(disp=), which SciPy 1.18 does not have")
    assert of_features(x, y) == pytest.approx(theirs, rel=1e-8)


def test_agreement_with_torch_fidelity() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    import torch

    x, y = features(500, 64, 1), features(400, 64, 2, 1.2)
    stats = [fidelity.fid_features_to_statistics(torch.from_numpy(each)) for each in (x, y)]
    theirs = fidelity.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert of_features(x, y) == pytest.approx(theirs, rel=1e-8)


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("mean", "cov", "said"),
    [
        (np.zeros(3), np.eye(2), "do not fit"),
        (np.zeros((1, 3)), np.eye(3), "do not fit"),
        (np.zeros(2), np.eye(2), "3 and 2 dimensions"),
        (np.array([0, np.nan, 0]), np.eye(3), "finite"),
        (np.zeros(3), np.diag([1, np.inf, 1]), "finite"),
        (np.zeros(3), np.diag([1.0, -1, 1]), "not negative"),
        (np.zeros(3), np.triu(np.ones((3, 3))), "symmetric"),
    ],
)
def test_what_is_no_gaussian_is_refused(mean: np.ndarray, cov: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        frechet_distance(np.zeros(3), np.eye(3), mean, cov)


def test_features_that_do_not_fit_are_refused() -> None:
    x = features(5, 4)
    with pytest.raises(ValueError, match="do not fit"):
        FrechetOfFeatures(x, features(5, 3))
    with pytest.raises(ValueError, match="finite"):
        FrechetOfFeatures(x, np.where(x > x.mean(), np.nan, x))
    with pytest.raises(ValueError, match="two images"):
        of_features(x, x[:1])


@BOTH
def test_identical_images_have_a_distance(distance: Distance) -> None:
    x, y = np.repeat(features(1, 30, 1), 20, 0), features(20, 30, 2)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.cov(y, rowvar=False).trace()
    assert distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert distance(x, x) == pytest.approx(0, abs=1e-9)


# --------------------------------------------------------------------------------------------------------- moments


@pytest.mark.parametrize("blocks", [[1] * 50, [7, 20, 23], [50]], ids=str)
def test_moments_do_not_depend_on_blocks_order_or_shards(blocks: list[int]) -> None:
    x = features(50, 8).astype(np.float32) + 1000  # a mean that would eat the digits
    cuts = np.split(x, np.cumsum(blocks)[:-1])
    shards = Moments(8), Moments(8), Moments(8)  # the last sees nothing
    for i, cut in enumerate(reversed(cuts)):
        shards[i % 2].add(cut)
    shards[2].merge(shards[0])
    shards[2].merge(shards[1])
    shards[2].merge(Moments(8))
    assert shards[2].n == 50
    assert shards[2].mean == pytest.approx(x.astype(np.float64).mean(0), rel=1e-12)
    assert shards[2].cov == pytest.approx(np.cov(x.astype(np.float64), rowvar=False), rel=1e-6)


def test_memory_of_moments_does_not_grow_with_the_images() -> None:
    def peak(n: int) -> int:
        x = np.zeros((n, 64), np.float32)
        tracemalloc.start()
        moments = Moments(64)
        moments.add(x)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(40_000) < 1.1 * peak(4_000)


def test_moments_of_what_cannot_be() -> None:
    moments = Moments(3)
    with pytest.raises(ValueError, match="two images"):
        _ = moments.cov
    with pytest.raises(ValueError, match=r"not \(N, 3\)"):
        moments.add(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="finite"):
        moments.add(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        moments.merge(Moments(4))
    assert moments.n == 0


# -------------------------------------------------------------------------------------------------- extrapolation


def test_extrapolation_takes_most_of_the_bias_away() -> None:
    """Two Gaussians of 20 dimensions that differ by 0.1 in each: the true distance is 0.2."""
    random, plain, line = np.random.default_rng(0), [], []
    for seed in range(20):
        x, y = random.normal(size=(600, 20)), random.normal(size=(600, 20)) + 0.1
        plain.append(of_features(x, y))
        line.append(frechet_infinity(x, y, seed=seed))
    assert np.mean(plain) > 0.3
    assert np.mean(line) == pytest.approx(0.2, abs=0.03)


def test_extrapolation_is_deterministic_and_exact_where_there_is_no_bias() -> None:
    x, y = features(100, 10, 1), features(100, 10, 2)
    assert frechet_infinity(x, y, seed=1) == frechet_infinity(x, y, seed=1) != frechet_infinity(x, y, seed=2)
    assert frechet_infinity(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_infinity(x, x + 2) == pytest.approx(40, rel=1e-9)
    with pytest.raises(ValueError, match="too few"):
        frechet_infinity(x[:3], y[:3])
    with pytest.raises(ValueError, match="do not belong together"):
        frechet_infinity(x, y[:50])


# ------------------------------------------------------------------------------------------------------- many rows


def many(n: int = 3000, t: int = 500, dim: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outputs that keep something of their targets, several of one target."""
    target = features(t, dim, seed=1).astype(np.float32)
    partner = np.random.default_rng(2).integers(0, t, n)
    return (0.8 * target[partner] + features(n, dim, seed=3, scale=0.4, shift=0.2)).astype(np.float32), target, partner


def test_many_rows_have_the_distance_of_their_features() -> None:
    x, y, partner = many()
    expected = FrechetOfFeatures(x, y)(np.ones(len(x)), np.bincount(partner, minlength=len(y)))
    assert LinearFrechet(x, y, partner)(np.ones(len(x))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("clusters", [20, 3000])
def test_resamples_of_many_rows_vary_as_the_distance_does(clusters: int) -> None:
    """Whole clusters are drawn; values are near each other, and so are their standard deviations."""
    x, y, partner = many()
    exact, linear, random = FrechetOfFeatures(x, y), LinearFrechet(x, y, partner), np.random.default_rng(0)
    cluster = np.argsort(np.argsort(partner)) * clusters // len(x)  # targets of a cluster are its own
    values = []
    for _ in range(60):
        counts = np.bincount(random.integers(0, clusters, clusters), minlength=clusters)[cluster]
        values.append((exact(counts, np.bincount(partner, counts, minlength=len(y))), linear(counts)))
    of_exact, of_linear = np.array(values).T
    assert np.corrcoef(of_exact, of_linear)[0, 1] > 0.97
    assert of_linear.std() == pytest.approx(of_exact.std(), rel=0.15)


def test_directions_in_which_one_side_does_not_vary_are_no_trouble() -> None:
    x, y, partner = many(400, 100, 6)
    x[:, 0], y[:, 1] = 1.0, 2.0
    linear = LinearFrechet(x, y, partner)
    counts = np.bincount(np.random.default_rng(0).integers(0, 400, 400), minlength=400)
    exact = FrechetOfFeatures(x, y)(counts, np.bincount(partner, counts, minlength=100))
    assert linear(counts) == pytest.approx(exact, rel=0.1)


def test_many_rows_need_no_float64_of_their_size() -> None:
    x, y, partner = many(40_000, 20_000, 48)
    tracemalloc.start()
    linear = LinearFrechet(x, y, partner)
    linear(np.bincount(np.random.default_rng(0).integers(0, len(x), len(x)), minlength=len(x)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes  # half of it in float64


def test_moments_of_copies_are_those_of_repeated_rows() -> None:
    x, copies = features(50, 5), np.random.default_rng(1).integers(0, 3, 50)
    one, other = Moments(5), Moments(5)
    one.add(x, copies)
    other.add(np.repeat(x, copies, 0))
    assert one.n == other.n == copies.sum()
    assert np.allclose(one.cov, other.cov, rtol=1e-12, atol=1e-14)
    assert np.allclose(one.mean, other.mean, rtol=1e-12)
