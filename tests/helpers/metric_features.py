"""Made-up features for the tests of metrics that compare distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fsbench.interfaces import DistributionMetric, PairedFeatures
from fsbench.stats.resampling import Design


def class_name(metric: DistributionMetric) -> str:
    return type(metric).__name__


def paired(rows: np.ndarray) -> PairedFeatures:
    """Features of outputs and of their targets out of rows that hold both, (N, 2 D)."""
    middle = rows.shape[1] // 2
    return PairedFeatures.of(rows[:, :middle], rows[:, middle:])


def value(metric: DistributionMetric, rows: np.ndarray | PairedFeatures) -> float:
    """The value of all rows, (N, 2 D)."""
    return metric.statistic(paired(rows) if isinstance(rows, np.ndarray) else rows)(np.arange(len(rows)))


def made_up_rows(n: int = 60, dim: int = 12, noise: float = 0.5, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rows of made-up features: outputs that keep something of their targets."""
    random = np.random.default_rng(seed)
    target = random.normal(size=(n, dim))
    output = (target + noise * random.normal(size=(n, dim))) / np.sqrt(1 + noise**2) + shift
    return np.concatenate([output, target], 1)


def copied_rows(n: int = 60, dim: int = 12) -> np.ndarray:
    target = np.random.default_rng(0).normal(size=(n, dim))
    return np.concatenate([target, target], 1)


def interval_coverage(
    metric: DistributionMetric,
    world: Callable[[int], tuple[np.ndarray | PairedFeatures, np.ndarray]],
    worlds: int = 150,
) -> float:
    """Share of intervals that hold the mean of the values over worlds: what they cover is spread, not bias."""
    assert metric.info.interval == "centred"
    found = []
    for seed in range(worlds):
        rows, sessions = world(seed)
        of = metric.statistic(paired(rows) if isinstance(rows, np.ndarray) else rows)
        whole = of(np.arange(len(rows)))
        one = np.zeros(len(rows))
        design = Design.of(one, sessions, one, resamples=150, seed=seed)
        found.append((whole, *design.spread(design.resample(of)).interval(whole)))
    whole, low, high = np.array(found).T
    return float(np.mean((low <= whole.mean()) & (whole.mean() <= high)))
