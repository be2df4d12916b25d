"""What a metric measured of all outputs of a model: a row of each, of each clip, or features of a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from fsbench import guard
from fsbench.errors import NotScorable, PluginError
from fsbench.interfaces import (
    DistributionMetric,
    Evidence,
    FeatureSpace,
    Framewise,
    Metric,
    MetricInfo,
    PairedFeatures,
    Resampled,
    RowMetric,
)
from fsbench.stats import blocks
from fsbench.stats.blocks import BlockDesign
from fsbench.stats.resampling import Design, Mean, Statistic
from fsbench.stats.summaries import mean, percentage


@dataclass(frozen=True, eq=False)
class ClipRows:
    """Rows of clips, and the rows of their frames that these are made of."""

    rows: np.ndarray  # (C, 1); NaN where a clip cannot be scored
    frames: np.ndarray  # (N, K), clip by clip
    clips: tuple[slice, ...]  # of each clip, its rows of `frames`
    fixed: np.ndarray  # (C,) bool: the row is not made of frames, but what a failure counts as

    def __len__(self) -> int:
        return len(self.clips)


Measured = np.ndarray | PairedFeatures | ClipRows
"""Rows (N, K) of samples, NaN where one cannot be scored; features of N outputs; or rows of clips and their frames."""

MEANS: Mapping[Callable[[np.ndarray], float], float] = {mean: 1.0, percentage: 100.0}
"""Summaries that are means times a factor: their resamples need no look at single rows."""

SEED = 0
"""Of subsets: the same outputs have the same subset in every run, whatever its seed."""


def is_framewise(metric: Metric) -> bool:
    """Whether rows of frames are asked for, of which the metric's rows of clips are made."""
    return metric.info.sample == "clip" and isinstance(metric, Framewise)


def of_clips(metric: Metric, name: str, rows: np.ndarray, clips: Sequence[slice]) -> np.ndarray | ClipRows:
    """Make rows of clips of what are rows of frames; raises NotScorable, PluginError."""
    if not is_framewise(metric):
        return rows
    made = [[guard.run(f"metric {name}", cast(Framewise, metric).clip_row, rows[clip])] for clip in clips]
    return ClipRows(np.array(made, np.float64), rows, tuple(clips), np.zeros(len(clips), bool))


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
    known: np.ndarray = np.logical_not(np.isnan(_rows(measured)).any(1))
    return known


def only(measured: Measured, keep: np.ndarray) -> Measured:
    """The same, where outputs that are not in `keep` (N,) bool cannot be scored."""
    if isinstance(measured, PairedFeatures):
        return measured.only(keep)
    if isinstance(measured, ClipRows):
        return replace(measured, rows=np.where(keep[:, None], measured.rows, np.nan))
    return np.where(keep[:, None], measured, np.nan)


def column(measured: Measured) -> np.ndarray | None:
    """One number per output, (N,); None where a metric has several, or none of a single output."""
    if isinstance(measured, PairedFeatures) or (rows := _rows(measured)).shape[1] != 1:
        return None
    return rows[:, 0]


def with_failures(measured: Measured, values: np.ndarray, failed: np.ndarray) -> Measured:
    """The same with other numbers of samples (N,), of which those `failed` (N,) bool are what failures count as."""
    if isinstance(measured, ClipRows):
        return replace(measured, rows=values[:, None], fixed=measured.fixed | failed)
    return values[:, None]


def _rows(measured: np.ndarray | ClipRows) -> np.ndarray:
    return measured.rows if isinstance(measured, ClipRows) else measured


def statistic(metric: Metric, measured: Measured, chosen: np.ndarray) -> Statistic:
    """Return the metric's value as a function of indices, with repeats, into the outputs `chosen` (N,) bool."""
    if isinstance(measured, PairedFeatures):
        return _of_features(cast(DistributionMetric, metric), measured.only(chosen))
    rows = _rows(measured)[chosen]
    if isinstance(metric, Resampled):
        return metric.statistic(rows)
    summarise = cast(RowMetric, metric).summarise
    if is_mean(metric, measured):
        return Mean(rows[:, 0], MEANS[summarise])
    return lambda index: summarise(rows[index])


def resample(metric: Metric, measured: Measured, chosen: np.ndarray, design: Design) -> np.ndarray:
    """Values of the samples `chosen` (N,) bool over the resamples of a design of these alone, (1 or 3, B).

    Raises NotScorable with the reason of `undrawn`.
    """
    if not isinstance(measured, ClipRows) or not isinstance(design, BlockDesign):
        return design.resample(statistic(metric, measured, chosen), metric.info.resamples)
    if reason := undrawn(measured, chosen, design):
        raise NotScorable(reason)
    return design.resample(_of_frames(metric, measured, chosen), metric.info.resamples)


def undrawn(measured: Measured, chosen: np.ndarray, design: Design) -> str:
    """Why the samples `chosen` (N,) bool cannot be drawn again by a design, "" where they can."""
    by_frames = isinstance(design, BlockDesign)
    if by_frames and isinstance(measured, ClipRows) and (n_failed := int(measured.fixed[chosen].sum())):
        return f"the model failed on {n_failed} of {chosen.sum()} clips: what that counts as has no frames to draw"
    return design.reason


def _of_frames(metric: Any, measured: ClipRows, chosen: np.ndarray) -> Statistic:
    """Return the metric's value as a function of ascending indices into the frames of the clips `chosen` (C,) bool."""
    clips = [measured.frames[measured.clips[k]] for k in np.flatnonzero(chosen)]
    return blocks.of_clips(clips, metric.clip_row, metric.summarise)


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
