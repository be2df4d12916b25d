"""The difference of two models over the samples that two runs share, by one metric."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fsbench.comparison import clips, distributions
from fsbench.comparison.scores import DIGESTS, LABELS, SUMMARIES, TOGETHER, Scores, summary
from fsbench.errors import NotScorable
from fsbench.record_types import Sample
from fsbench.results import Key
from fsbench.stats.blocks import design
from fsbench.stats.resampling import Design, Difference

NOISE = 1e-4
"""Largest change of a sample, as a share of the samples' spread, that another machine makes of the same output."""


@dataclass(frozen=True)
class MatchedSamples:
    """The samples that two runs share, and how many they do not."""

    first: np.ndarray  # (M,) rows of the first run's table
    second: np.ndarray  # (M,) those of the second run, in the same order
    n_first: int  # samples that only the first run has
    n_second: int
    n_changed: int  # samples of both whose images are not the same: they are left out
    known: bool  # whether both runs know their images, by digests


def match(first: Scores, second: Scores, sample: Sample) -> MatchedSamples:
    """Pair the samples of two runs: the same labels, and the same source and target images where both know them."""
    a, b = (scores.tables.get(sample) for scores in (first, second))
    if a is None or b is None:
        raise NotScorable(f"one of the two runs has no {sample}s")
    places = {label: i for i, label in enumerate(_labels(b, sample))}
    pairs = [(i, places[label]) for i, label in enumerate(_labels(a, sample)) if label in places]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    digests = [name for name in DIGESTS if name in a and name in b]
    same = np.ones(len(rows), bool)
    for name in digests:
        same &= a[name].to_numpy()[rows[:, 0]] == b[name].to_numpy()[rows[:, 1]]
    return MatchedSamples(
        rows[same, 0], rows[same, 1], len(a) - len(rows), len(b) - len(rows), int((~same).sum()), len(digests) == 2
    )


def _labels(table: pd.DataFrame, sample: Sample) -> list[Hashable]:
    return list(table[list(LABELS[sample])].itertuples(index=False, name=None))


@dataclass(frozen=True)
class PairedRows:
    """What two models have on the samples of both, by one metric; distances of distributions have no a and b, (0,)."""

    a: np.ndarray  # (M,) of the first run's model, failures as what they count as
    b: np.ndarray  # (M,)
    rows: np.ndarray  # (M,) of the first run's table
    others: np.ndarray  # (M,) of the second run's table
    only_first: int = 0  # shared samples that the first model alone was scored on: they are left out
    only_second: int = 0

    @property
    def is_binary(self) -> bool:
        """Whether rows are rates: right or wrong."""
        levels = np.unique(np.concatenate([self.a, self.b]))
        return len(levels) <= 2 and bool(np.isin(levels, [0.0, 1.0, 100.0]).all()) and 0.0 in levels

    @property
    def flips(self) -> tuple[int, int]:
        """Samples on which the second model has more than the first, and less."""
        return int((self.b > self.a).sum()), int((self.b < self.a).sum())

    @property
    def mcnemar(self) -> float | None:
        """Exact two-sided p-value of as many flips either way, None for rows that are no rates.

        McNemar, Psychometrika 12(2), 1947, with binomial probabilities. It takes samples for independent.
        """
        from scipy.special import bdtr  # slow to import

        more, less = self.flips
        return min(1.0, 2 * float(bdtr(min(more, less), more + less, 0.5))) if self.is_binary else None


@dataclass(frozen=True)
class PairedDifference:
    """The values of two models on the samples of both, and how they differ."""

    rows: PairedRows
    value: float  # of the first model on these samples
    other: float  # of the second
    difference: Difference  # of the second less the first


class Pairing:
    """Two runs, whose samples are matched once, and drawn again in the same way for every metric."""

    def __init__(self, first: Scores, second: Scores) -> None:
        self.first, self.second = first, second
        self._matched: dict[Sample, MatchedSamples] = {}
        self._designs: dict[Sample, Design] = {}

    def matched(self, sample: Sample) -> MatchedSamples:
        """The samples that both have; raises NotScorable where one has none of that kind."""
        if sample not in self._matched:
            self._matched[sample] = match(self.first, self.second, sample)
        return self._matched[sample]

    def compare(self, models: tuple[str, str], key: Key, *, with_plugins: bool = False) -> PairedDifference:
        """Compare a model of each run on the samples of both; raises NotScorable where nothing can be said.

        `with_plugins` distances of distributions are made again from features, and metrics of few clips from frames:
        that brings torch, and takes long.
        """
        if with_plugins and self.first.columns.get((models[0], *key)) == TOGETHER:
            return self._compare_distributions(models, key)
        paired, sample = self.rows(models, key), self.first.metrics[key[0]].sample
        summaries = self.first.rows(models[0], key).summaries & self.second.rows(models[1], key).summaries
        name = next(name for name in SUMMARIES if name in summaries)
        of, of_second = (summary(name, rows) for rows in (paired.a, paired.b))
        everything = np.arange(len(paired.a))
        value, other = of(everything), of_second(everything)
        design = self._design(sample).among(np.isin(self.matched(sample).first, paired.rows))
        change = np.abs(paired.a - paired.b).max()
        if change == 0 or (design.reason and change <= NOISE * float(np.std(paired.a))):
            effect = other - value  # the same samples again: however few the sessions are
            difference = Difference(effect, effect, effect, 1.0, None, None)
        elif not design.reason:
            difference = design.difference(other - value, design.resample(of_second), design.resample(of))
        elif sample == "clip":
            difference = self._of_few_clips(models, key, paired, design.reason, with_plugins)
        else:
            raise NotScorable(design.reason)
        return PairedDifference(paired, value, other, difference)

    def rows(self, models: tuple[str, str], key: Key) -> PairedRows:
        """Pair the samples that both models were scored on; raises NotScorable where there are none."""
        own, others = self.first.rows(models[0], key), self.second.rows(models[1], key)
        if not own.summaries & others.summaries:
            raise NotScorable("its value is made of the samples in two ways")
        matched = self.matched(self.first.metrics[key[0]].sample)
        a, b = own.rows[matched.first], others.rows[matched.second]
        if digits := min(filter(None, (self.first.digits, self.second.digits)), default=0):
            a, b = significant(a, digits), significant(b, digits)
        both = np.isfinite(a) & np.isfinite(b)
        if not both.any():
            raise NotScorable("the two runs share no sample that both models were scored on")
        lost = (int((np.isfinite(rows) & ~both).sum()) for rows in (a, b))
        return PairedRows(a[both], b[both], matched.first[both], matched.second[both], *lost)

    def _of_few_clips(
        self, models: tuple[str, str], key: Key, paired: PairedRows, reason: str, with_plugins: bool
    ) -> Difference:
        """The difference over blocks of the clips' frames; raises NotScorable, `reason` being why not over clips."""
        runs = (self.first, self.second)
        if any(run.rows(model, key).failed for run, model in zip(runs, models, strict=True)):
            raise NotScorable(f"{reason}, and what a failure counts as has no frames to draw")
        if not with_plugins:
            raise NotScorable(f"{reason} (blocks of frames are drawn where --metric names it)")
        first, second = (
            clips.ClipScores(*side)
            for side in zip(runs, models, (paired.a, paired.b), (paired.rows, paired.others), strict=True)
        )
        return clips.difference(first, second, key)

    def _compare_distributions(self, models: tuple[str, str], key: Key) -> PairedDifference:
        metric, matched = distributions.build(key[0]), self.matched("output")
        first, second = (
            distributions.features(scores, model, key, metric).take(rows)
            for scores, model, rows in zip(
                (self.first, self.second), models, (matched.first, matched.second), strict=True
            )
        )
        both, value, other, difference = distributions.difference(metric, first, second, self._design("output"))
        nothing = np.empty(0)
        paired = PairedRows(nothing, nothing, matched.first[both], matched.second[both])
        return PairedDifference(paired, value, other, difference)

    def _design(self, sample: Sample) -> Design:
        """How the shared samples are drawn again, as in a run."""
        if sample not in self._designs:
            table, result = self.first.tables[sample].iloc[self.matched(sample).first], self.first.result
            self._designs[sample] = design(table, result.protocol.resamples, result.seed)
        return self._designs[sample]


def significant(rows: np.ndarray, digits: int) -> np.ndarray:
    """Round to significant digits, as a baseline stores rows.

    >>> significant(np.array([0.12345678, 1234567.0, 0.0]), 6).tolist()
    [0.123457, 1234570.0, 0.0]
    """
    return np.array([float(f"{value:.{digits}g}") for value in rows])
