"""Speed of statistics: Fréchet distances, cosines of all pairs, kernel distances, intervals.

uv run pytest benchmarks/test_speed_statistics.py --benchmark-enable
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fsbench.stats.calibration import calibrate
from fsbench.stats.frechet import FrechetOfFeatures, LinearFrechet
from fsbench.stats.kernels import PairedMmd, polynomial
from fsbench.stats.resampling import Design, Mean

DIM = 2048
PEOPLE, SESSIONS = 100, 10


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def features(n: int, seed: int, dim: int = DIM) -> np.ndarray:
    """A spectrum that falls over two orders of magnitude, as that of Inception's features does and more."""
    rows = np.random.default_rng(seed).standard_normal((n, dim), np.float32)
    return rows * np.geomspace(1, 0.01, dim, dtype=np.float32)


@pytest.mark.benchmark(group="Fréchet distance: a resample, the Gram matrix is there")
@pytest.mark.parametrize("n", [500, 1000, 2000])
def test_a_resample(benchmark: Any, n: int) -> None:
    distance, random = FrechetOfFeatures(features(n, 1), features(n, 2)), np.random.default_rng(3)
    counts = np.bincount(random.integers(0, n, n), minlength=n)
    assert benchmark.pedantic(distance, (counts, counts), rounds=3) > 0


@pytest.mark.benchmark(group="Fréchet distance: the value, from merged moments")
@pytest.mark.parametrize("n", [5_000, 20_000])
def test_the_value_of_many(benchmark: Any, n: int) -> None:
    sides, partner = (features(n, 1), features(n, 2)), np.arange(n)
    assert benchmark.pedantic(LinearFrechet, (*sides, partner), rounds=1).value > 0


@pytest.mark.benchmark(group="kernel distance: the value, all pairs")
@pytest.mark.parametrize("n", [1_000, 5_000])
def test_all_kernels(benchmark: Any, n: int) -> None:
    sides = features(n, 1), features(n, 2)
    assert np.isfinite(benchmark.pedantic(PairedMmd, (*sides, polynomial), rounds=1).value)


@pytest.mark.benchmark(group="cosines of all pairs of images, 512 numbers each")
@pytest.mark.parametrize("n", [1_000, 10_000])
def test_calibration(benchmark: Any, n: int) -> None:
    vectors = features(n, 0, 512)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = np.arange(n)
    labels = index % PEOPLE, index // PEOPLE % SESSIONS
    calibration = benchmark.pedantic(calibrate, (vectors, *labels), rounds=3, warmup_rounds=1)
    assert calibration is not None
    assert calibration.n_images == n


@pytest.mark.benchmark(group="interval of a mean, 1,000 resamples of whole sessions")
@pytest.mark.parametrize("n", [1_000, 100_000])
def test_bootstrap_of_a_mean(benchmark: Any, n: int) -> None:
    index, rows = np.arange(n), np.random.default_rng(0).normal(size=n)

    def interval() -> tuple[float, float]:
        design = Design.of(index % PEOPLE, index // PEOPLE % SESSIONS, index % 7, resamples=1000, seed=0)
        return design.spread(design.resample(Mean(rows))).interval(rows.mean())

    low, high = benchmark.pedantic(interval, rounds=3, warmup_rounds=1)
    assert low < rows.mean() < high


@pytest.mark.benchmark(group="interval of a median, 1,000 resamples of whole sessions")
@pytest.mark.parametrize("n", [1_000, 10_000])
def test_bootstrap_of_a_median(benchmark: Any, n: int) -> None:
    index, rows = np.arange(n), np.random.default_rng(0).normal(size=n)
    design = Design.of(index % PEOPLE, index // PEOPLE % SESSIONS, index % 7, resamples=1000, seed=0)
    values = benchmark.pedantic(design.resample, (lambda drawn: float(np.median(rows[drawn])),), rounds=3)
    assert values.shape[1] == 1000
