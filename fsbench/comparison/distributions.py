"""Distances of distributions between runs: made again of the stored features, over the outputs that both runs have.

Only the plug-in knows the statistic (`plugins`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fsbench.comparison import plugins
from fsbench.comparison.scores import Scores
from fsbench.errors import NotScorable, one_line
from fsbench.results import Key, slug
from fsbench.stats.resampling import Design, Difference, Statistic
from fsbench.store import read_arrays

if TYPE_CHECKING:
    from fsbench.interfaces import DistributionMetric, PairedFeatures

ARRAY = "features"
"""What files of features hold of an observer; metrics of another array cannot be made again."""

_ROUNDING = 1e-6


def build(name: str) -> DistributionMetric:
    """Make a metric of distributions; raises NotScorable where there is none of that name here."""
    from fsbench.interfaces import DistributionMetric

    metric = plugins.build(name)
    if not isinstance(metric, DistributionMetric) or metric.array != ARRAY:
        raise NotScorable(f"the numbers behind {name} are not among the files of a run")
    return metric


def features(scores: Scores, model: str, key: Key, metric: DistributionMetric) -> PairedFeatures:
    """The stored features of a model's outputs and their targets, if they give the value of the run again.

    Raises NotScorable where they do not, or are not there.
    """
    from fsbench.interfaces import PairedFeatures

    name, value = scores.metrics[key[0]].observer, scores.value(model, key)
    if scores.folder is None or not name or value is None or value.value is None:
        raise NotScorable(f"{scores.label} has no features that {key[0]} could be made of")
    file = f"features/{slug(name)}.safetensors"
    try:
        arrays, _ = read_arrays(scores.folder / file)
    except (OSError, ValueError) as error:
        raise NotScorable(f"{scores.label}: {file} cannot be read: {one_line(error)[:200]}") from error
    own, targets, n = arrays.get(model), arrays.get("targets"), len(scores.tables["output"])
    if own is None or targets is None or own.ndim != 2 or own.shape != targets.shape or len(own) != n:
        raise NotScorable(f"{scores.label}: {file} does not fit samples.parquet")
    paired = PairedFeatures.of(own, targets)
    if metric.info.max_samples and paired.scored.sum() > metric.info.max_samples:
        raise NotScorable(f"{key[0]} is computed of {metric.info.max_samples:,} outputs of each run, drawn by content")
    whole = _statistic(metric, paired, paired.scored)(np.arange(int(paired.scored.sum())))
    if not math.isclose(whole, value.value, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
        raise NotScorable(f"{scores.label}: {file} does not give the value of {key[0]} again")
    return paired


def difference(
    metric: DistributionMetric, first: PairedFeatures, second: PairedFeatures, design: Design
) -> tuple[np.ndarray, float, float, Difference]:
    """The outputs that both have (N,) bool, the two values over these, and the second less the first.

    The features are of the same samples in the same order. Raises NotScorable where nothing can be said.
    """
    both = first.scored & second.scored
    if both.sum() < max(1, metric.info.min_samples):
        raise NotScorable(f"the two runs have {both.sum()} outputs in common, too few to compare")
    of, of_second = (_statistic(metric, features, both) for features in (first, second))
    everything = np.arange(int(both.sum()))
    value, other = of(everything), of_second(everything)
    if np.array_equal(first.output[both], second.output[both]):
        return both, value, other, Difference(0.0, 0.0, 0.0, 1.0, None, None)
    drawn = design.among(both)
    if metric.info.interval == "none" or drawn.reason:
        raise NotScorable(drawn.reason or "this metric has no interval: resampling would bias it")
    resampled, resampled_second = (drawn.resample(statistic, metric.info.resamples) for statistic in (of, of_second))
    return both, value, other, drawn.difference(other - value, resampled_second, resampled)


def _statistic(metric: DistributionMetric, paired: PairedFeatures, chosen: np.ndarray) -> Statistic:
    return metric.statistic(paired.take(np.flatnonzero(chosen)))
