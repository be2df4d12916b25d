"""What a metric measured of all outputs of a model: a row of each, or the features that a distribution is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from fsbench import guard
from fsbench.errors import PluginError
from fsbench.interfaces import (
    DistributionMetric,
    Evidence,
    FeatureSpace,
    Metric,
    MetricInfo,
    PairedFeatures,
    Resampled,
    RowMetric,
)
from fsbench.stats.resampling import Mean, Statistic
from fsbench.stats.summaries import mean, percentage

Measured = np.ndarray | PairedFeatures
"""Rows (N, K), NaN where an output cannot be scored, or features of the N outputs."""

MEANS: Mapping[Callable[[np.ndarray], float], float] = {mean: 1.0, percentage: 100.0}
"""Summaries that are means times a factor: their resamples need no look at single rows."""

SEED = 0
"""Of subsets: the same outputs have the same subset in every run, whatever its seed."""


def features_of(metric: DistributionMetric, name: str, evidence: Mapping[str, Evidence], n: int) -> PairedFeatures:
    """Features of `n` outputs that a metric of distributions compares; raises NotScorable, PluginError."""
    if metric.info.sample != "output":
        raise PluginError(f"metric {name} is of clips", "a distribution is made of outputs")
    if len(evidence) != 1:
        raise PluginError(f"metric {name} needs {', '.join(evidence) or 'nothing'}", "a distribution has one network")
    ((need, space),) = evidence.items()
    if not isinstance(space, FeatureSpace):
        raise PluginError(f"evidence {need} gives no features", f"metric {name} can be computed of networks only")
    features = guard.run(f"evidence {need}", space.features, metric.array)
    if not isinstance(features, PairedFeatures) or len(features) != n:
        raise PluginError(f"evidence {need} gave no features of {n} outputs", "it owes PairedFeatures")
    return features


def scored(measured: Measured) -> np.ndarray:
    """Which outputs can be scored, (N,) bool."""
    if isinstance(measured, PairedFeatures):
        return measured.scored
    known: np.ndarray = np.logical_not(np.isnan(measured).any(1))
    return known


def only(measured: Measured, keep: np.ndarray) -> Measured:
    """The same, where outputs that are not in `keep` (N,) bool cannot be scored."""
    if isinstance(measured, PairedFeatures):
        return measured.only(keep)
    return np.where(keep[:, None], measured, np.nan)


def column(measured: Measured) -> np.ndarray | None:
    """One number per output, (N,); None where a metric has several, or none of a single output."""
    return measured[:, 0] if isinstance(measured, np.ndarray) and measured.shape[1] == 1 else None


def statistic(metric: Metric, measured: Measured, chosen: np.ndarray) -> Statistic:
    """Return the metric's value as a function of indices, with repeats, into the outputs `chosen` (N,) bool."""
    if isinstance(measured, PairedFeatures):
        return _of_features(cast(DistributionMetric, metric), measured.only(chosen))
    rows = measured[chosen]
    if isinstance(metric, Resampled):
        return metric.statistic(rows)
    summarise = cast(RowMetric, metric).summarise
    if is_mean(metric, measured):
        return Mean(rows[:, 0], MEANS[summarise])
    return lambda index: summarise(rows[index])


def is_mean(metric: Metric, measured: Measured) -> bool:
    """Whether the value is a mean of rows times a factor, of which resamples take no time."""
    if isinstance(metric, Resampled) or column(measured) is None:
        return False
    return cast(RowMetric, metric).summarise in MEANS


def _of_features(metric: DistributionMetric, features: PairedFeatures) -> Statistic:
    members, limit = np.flatnonzero(features.scored), metric.info.max_samples
    if not limit or len(members) <= limit:
        return metric.statistic(features.take(members))
    drawn = features.drawn(limit, SEED)[members]
    of, place = metric.statistic(features.take(members[drawn])), np.cumsum(drawn) - 1

    def value(index: np.ndarray) -> float:
        index = index[drawn[index]]
        return of(place[index]) if len(index) else math.nan

    return value


def subset_rule(metrics: Mapping[str, Metric]) -> str:
    """Say of how many outputs each metric is computed at most; "" where all take all."""
    limits = {name: metric.info.max_samples for name, metric in metrics.items() if metric.info.max_samples}
    if not limits:
        return ""
    each = ", ".join(f"{name} {limit:,}" for name, limit in limits.items())
    return f"of more outputs a subset is taken, those with the smallest BLAKE2b of their features (key {SEED}): {each}"


def subset_caution(info: MetricInfo, n: int) -> list[str]:
    """Say where a value of `n` outputs is computed of fewer."""
    if not info.max_samples or n <= info.max_samples:
        return []
    return [f"computed of {info.max_samples:,} of {n:,} outputs, drawn by the content of their features"]
