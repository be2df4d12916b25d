"""Kernel distances by closed form, against torch-fidelity and clean-fid, and by invariants."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fsbench.stats import kernels
from fsbench.stats.kernels import Kernel, PairedMmd, gaussian, polynomial
from fsbench.stats.resampling import Design

KERNELS = pytest.mark.parametrize("kernel", [polynomial, gaussian(2.0)], ids=["polynomial", "gaussian"])


def samples(n: int, dim: int = 8, shift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of which row i of the first was made from row i of the second."""
    random = np.random.default_rng(seed)
    y = random.normal(size=(n, dim))
    return np.sqrt(0.5) * y + np.sqrt(0.5) * random.normal(size=(n, dim)) + shift, y


def by_definition(x: np.ndarray, y: np.ndarray, kernel: Kernel, group: np.ndarray) -> float:
    """Loops over pairs of rows, copies of a row being in one group."""
    found = [
        (
            kernel(x[i : i + 1], x[j : j + 1])
            + kernel(y[i : i + 1], y[j : j + 1])
            - kernel(x[i : i + 1], y[j : j + 1])
            - kernel(y[i : i + 1], x[j : j + 1])
        ).item()
        for i in range(len(x))
        for j in range(len(x))
        if group[i] != group[j]
    ]
    return float(np.mean(found))


def test_values_of_the_kernels() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0, 0.5]])
    assert polynomial(x, y).item() == pytest.approx((4 / 2 + 1) ** 3)
    assert gaussian(1.5)(x, y).item() == pytest.approx(np.exp(-(4 + 2.25) / (2 * 2.25)))
    for sigma in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive number"):
            gaussian(sigma)


@KERNELS
def test_point_masses(kernel: Kernel) -> None:
    """All of one set at a, all of the other at b: k(a, a) + k(b, b) - 2 k(a, b), with nothing left to chance."""
    a, b = np.array([[1.0, 0.0, 2.0]]), np.array([[0.0, 1.0, 1.0]])
    expected = (kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)).item()
    assert PairedMmd(a.repeat(5, 0), b.repeat(5, 0), kernel).value == pytest.approx(expected)


def test_gaussians_under_the_gaussian_kernel() -> None:
    """N(0, 1) and N(m, 1) in D dimensions: 2 (s / (s + 2))^(D / 2) (1 - exp(-|m|^2 / (2 (s + 2)))), s = sigma^2."""
    dim, sigma, shift = 3, 1.2, 0.8
    s = sigma**2
    expected = 2 * (s / (s + 2)) ** (dim / 2) * (1 - np.exp(-dim * shift**2 / (2 * (s + 2))))
    found = [PairedMmd(*samples(100, dim, shift, seed), gaussian(sigma)).value for seed in range(200)]
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / np.sqrt(len(found)))
    assert np.std(found) / np.sqrt(len(found)) < 0.02 * expected


@KERNELS
@pytest.mark.parametrize("n", [4, 30])
def test_samples_of_one_distribution_are_at_0_on_average(kernel: Kernel, n: int) -> None:
    """400 draws, rows of the two samples correlated; the usual estimate is 3 standard errors and more below 0 here."""
    found, usual = [], []
    for seed in range(400):
        x, y = samples(n, seed=seed)
        found.append(PairedMmd(x, y, kernel).value)
        off = 1 - np.eye(n)
        usual.append(((kernel(x, x) + kernel(y, y)) * off).sum() / (n * (n - 1)) - 2 * kernel(x, y).mean())
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert np.mean(usual) < -3 * error


@KERNELS
def test_it_is_its_definition_with_groups_left_out(kernel: Kernel) -> None:
    x, y = samples(12)
    group = np.array([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8])
    assert PairedMmd(x, y, kernel, group).value == pytest.approx(by_definition(x, y, kernel, group))
    assert PairedMmd(x, y, kernel).value == pytest.approx(by_definition(x, y, kernel, np.arange(12)))


@KERNELS
def test_a_resample_is_its_definition_with_copies_left_out(kernel: Kernel) -> None:
    x, y = samples(12)
    index = np.random.default_rng(1).integers(0, 12, 12)
    counts = np.bincount(index, minlength=12)
    assert counts.max() > 1
    expected = by_definition(x[index], y[index], kernel, index)
    assert PairedMmd(x, y, kernel)(counts) == pytest.approx(expected)


@KERNELS
def test_all_rows_once_are_the_value_with_the_matrix_held_or_not(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = samples(30, shift=0.3)
    group = np.arange(30) // 2
    held = PairedMmd(x, y, kernel, group)
    monkeypatch.setattr(kernels, "HELD", 0)
    monkeypatch.setattr(kernels, "BLOCK", 7)
    tiled = PairedMmd(x, y, kernel, group)
    once = np.ones(30)
    assert held(once) == pytest.approx(held.value, rel=1e-12)
    assert tiled(once) == pytest.approx(held.value, rel=1e-12)
    assert tiled.value == pytest.approx(held.value, rel=1e-12)


@KERNELS
def test_the_first_order_term_varies_as_the_whole(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(300, shift=0.5)
    random = np.random.default_rng(0)
    resamples = [np.bincount(random.integers(0, 300, 300), minlength=300) for _ in range(200)]
    held = PairedMmd(x, y, kernel)
    monkeypatch.setattr(kernels, "HELD", 0)
    tiled = PairedMmd(x, y, kernel)
    whole, first = (np.array([each(counts) for counts in resamples]) for each in (held, tiled))
    assert np.corrcoef(whole, first)[0, 1] > 0.98
    assert first.std() == pytest.approx(whole.std(), rel=0.1)


@KERNELS
def test_symmetric_and_whatever_the_order(kernel: Kernel) -> None:
    x, y = samples(40, shift=0.2)
    order = np.random.default_rng(0).permutation(40)
    assert PairedMmd(x, y, kernel).value == pytest.approx(PairedMmd(y, x, kernel).value, rel=1e-10)
    assert PairedMmd(x, y, kernel).value == pytest.approx(PairedMmd(x[order], y[order], kernel).value, rel=1e-10)


@KERNELS
def test_a_copy_is_at_0_and_a_shift_grows(kernel: Kernel) -> None:
    x, y = samples(50)
    assert PairedMmd(y, y, kernel).value == 0
    assert np.all(np.diff([PairedMmd(x + s, y, kernel).value for s in (0, 0.2, 0.4, 0.8, 1.6)]) > 0)


# --------------------------------------------------------------------------------------------------------- oracles


def test_agreement_with_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = samples(60, 16, 0.2)
    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    matrices = [theirs.kernel_poly(*pair, **options) for pair in ((x, x), (x, y), (y, y))]
    assert PairedMmd(x, y, polynomial).value == pytest.approx(theirs.mmd2(*matrices, mmd_est="u-statistic"), rel=1e-9)


@pytest.mark.parametrize("kernel", ["poly", "rbf"])
def test_over_all_ways_to_pair_the_rows_it_is_the_published_estimate(kernel: str) -> None:
    """Each output meets each target once when the pairing goes round."""
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    import torch

    x, y = samples(30, 16, 0.3)
    published = theirs.kid_features_to_metric(
        torch.from_numpy(x),
        torch.from_numpy(y),
        kid_subsets=1,
        kid_subset_size=30,
        kid_kernel=kernel,
        kid_kernel_rbf_sigma=2.0,
        verbose=False,
    )["kernel_inception_distance_mean"]
    ours = polynomial if kernel == "poly" else gaussian(2.0)
    found = [PairedMmd(x, np.roll(y, i, 0), ours).value for i in range(30)]
    assert np.mean(found) == pytest.approx(published, rel=1e-9)


def test_over_all_ways_to_pair_the_rows_it_is_clean_fids_estimate() -> None:
    fid = pytest.importorskip("cleanfid.fid")
    x, y = samples(30, 16, 0.3)
    found = [PairedMmd(x, np.roll(y, i, 0), polynomial).value for i in range(30)]
    assert np.mean(found) == pytest.approx(fid.kernel_distance(x, y, num_subsets=1), rel=1e-9)


# ------------------------------------------------------------------------------------------- bad input and limits


def test_what_cannot_be_compared_is_refused() -> None:
    x, y = samples(5)
    with pytest.raises(ValueError, match="do not belong together"):
        PairedMmd(x, y[:4], polynomial)
    with pytest.raises(ValueError, match="finite"):
        PairedMmd(np.where(x == x[0, 0], np.nan, x), y, polynomial)
    for few in (PairedMmd, lambda *each: PairedMmd(*each, group=np.zeros(5))):
        with pytest.raises(ValueError, match="two different images"):
            few(x[:1] if few is PairedMmd else x, y[:1] if few is PairedMmd else y, polynomial)


def test_a_resample_of_one_row_has_no_value() -> None:
    assert np.isnan(PairedMmd(*samples(3), polynomial)(np.array([3, 0, 0])))


def test_memory_does_not_grow_with_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "HELD", 0)
    monkeypatch.setattr(kernels, "BLOCK", 100)

    def peak(n: int) -> int:
        x, y = samples(n, 2)
        tracemalloc.start()
        PairedMmd(x, y, polynomial)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(4000) - peak(2000) < 2000 * 200  # bytes a row; a matrix would have 96 MB more


@KERNELS
@pytest.mark.parametrize(("sessions", "frames", "between"), [(100, 1, 0.0), (20, 5, 0.5)])
def test_coverage_of_the_interval(kernel: Kernel, sessions: int, frames: int, between: float) -> None:
    """200 worlds; the binomial error of the coverage is 1.5 points. What is to be covered is the mean over worlds."""
    random, found = np.random.default_rng(3), []
    cluster, n = np.repeat(np.arange(sessions), frames), sessions * frames
    for world in range(200):
        shared = random.normal(size=(sessions, 4))[cluster]
        y = np.sqrt(between) * shared + np.sqrt(1 - between) * random.normal(size=(n, 4))
        x = np.sqrt(0.5) * y + np.sqrt(0.5) * random.normal(size=(n, 4)) + 0.4
        estimate = PairedMmd(x, y, kernel)
        design = Design.of(np.zeros(n), cluster, np.zeros(n), resamples=200, seed=world)
        resampled = design.resample(lambda index, of=estimate: of(np.bincount(index, minlength=n)))
        found.append((estimate.value, *design.spread(resampled).interval(estimate.value)))
    value, low, high = np.array(found).T
    assert 0.91 <= np.mean((low <= value.mean()) & (value.mean() <= high)) <= 0.99
