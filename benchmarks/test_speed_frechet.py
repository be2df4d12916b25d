"""The Fréchet distance beside SciPy's matrix square root, at the 2,048 dimensions of Inception, on one thread.

    uv run pytest benchmarks/test_speed_frechet.py -s

Both are measured in turns in one process, in processor time, which holds on a busy machine as well.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fsbench.stats.frechet import FrechetOfFeatures, frechet_distance

DIM = 2048
TIMES_FASTER = 8
ROUNDS = 3

Gaussian = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def features(n: int, seed: int) -> np.ndarray:
    """A spectrum that falls over two orders of magnitude, as that of Inception's features does and more."""
    return np.random.default_rng(seed).normal(size=(n, DIM)) * np.geomspace(1, 0.01, DIM)


def with_sqrtm(one: Gaussian, other: Gaussian) -> float:
    from scipy.linalg import sqrtm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so where the product is singular
        root = sqrtm(one[1] @ other[1]).trace().real
    return float(((one[0] - other[0]) ** 2).sum() + one[1].trace() + other[1].trace() - 2 * root)


def seconds(work: Callable[[], float]) -> tuple[float, float]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def test_moments() -> None:
    one, other = ((x.mean(0), np.cov(x, rowvar=False)) for x in (features(3000, 1), features(3000, 2)))
    ratios = []
    for i in range(ROUNDS):
        works = [lambda: frechet_distance(*one, *other), lambda: with_sqrtm(one, other)]
        spent = [seconds(work) for work in (works if i % 2 else works[::-1])]
        (ours, ours_found), (theirs, theirs_found) = spent if i % 2 else spent[::-1]
        assert ours_found == pytest.approx(theirs_found, rel=1e-6)
        ratios.append(theirs / ours)
    print(f"\nfrechet_distance, D = {DIM}: {np.median(ratios):.1f} times as fast as sqrtm ({theirs:.1f} s)")
    assert np.median(ratios) > TIMES_FASTER


@pytest.mark.parametrize("n", [500, 1000, 2000])
def test_a_resample(n: int) -> None:
    """What one resample of a bootstrap costs, once the Gram matrix is there."""
    distance, random = FrechetOfFeatures(features(n, 1), features(n, 2)), np.random.default_rng(3)

    def resample() -> float:
        counts = np.bincount(random.integers(0, n, n), minlength=n)
        return distance(counts, counts)

    spent = sorted(seconds(resample)[0] for _ in range(ROUNDS))
    print(f"\none resample of {n} images: {1000 * spent[ROUNDS // 2]:.0f} ms")
    assert spent[ROUNDS // 2] < 1
