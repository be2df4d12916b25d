"""Intervals for data that come in clusters: frames of one session are not independent, sessions are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

FEWEST_STRATA = 3
"""Number of strata from which on strata are resampled where one of them has a single cluster."""


def units(clusters: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return what to resample, and within what, as labels (N,) for `cluster_bootstrap`; and whether it is the strata.

    Clusters are resampled within strata, where each stratum has two or more. A single cluster cannot be resampled
    within its stratum: of three strata or more, the strata themselves are resampled, each with all that is in it. The
    interval then covers other strata, and not other clusters of these.
    """
    names = np.unique(strata)
    if len(names) < FEWEST_STRATA or min(len(np.unique(clusters[strata == name])) for name in names) > 1:
        return clusters, strata, False
    return strata, np.zeros(len(strata), int), True


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: np.ndarray,
    strata: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    centre: float | None = None,
) -> tuple[float, float] | None:
    """Return an interval for `statistic` of all rows, or None where a stratum has fewer than two clusters.

    `statistic` takes indices of rows, with repeats. Whole clusters are resampled, with replacement, within each
    stratum: identities are fixed, sessions are the sample. `clusters` and `strata` (N,) are labels; a cluster lies in
    one stratum. Percentile interval, with the percentiles widened for few clusters as in Hesterberg, The American
    Statistician 69(4), 2015, section 4.2: without that, ten clusters give an interval that is about 10 % too narrow.
    With `centre` the resampled values are moved so that this is their mean: for statistics whose bias grows where rows
    are repeated; the interval then covers the spread, and not the bias. Resamples without a value are left
    out; None where they are more than half. Deterministic in `seed`.
    """
    members = [
        [
            np.flatnonzero((strata == stratum) & (clusters == cluster))
            for cluster in np.unique(clusters[strata == stratum])
        ]
        for stratum in np.unique(strata)
    ]
    if not members or min(map(len, members)) < 2:
        return None
    random = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        picks = [group[j] for group in members for j in random.integers(0, len(group), len(group))]
        values[i] = statistic(np.concatenate(picks))
    values = values[np.isfinite(values)]
    if len(values) < resamples / 2:
        return None
    if centre is not None:
        values += centre - values.mean()
    from scipy.special import ndtr, stdtrit  # slow to import, and not every command needs an interval

    fewest, degrees_of_freedom = min(map(len, members)), sum(map(len, members)) - len(members)
    tail = float(ndtr(math.sqrt(fewest / (fewest - 1)) * stdtrit(degrees_of_freedom, (1 - confidence) / 2)))
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
