"""Intervals and paired differences: which clusters of samples are drawn again, and what follows from the draws.

Frames of one session resemble each other, so whole sessions are drawn again, within each target identity: these people
are fixed, their sessions are a sample. From ENOUGH_PEOPLE source identities on, sources are a sample as well, and both
are drawn (two-way). The bootstrap gives a standard error, Student's t the interval: value +- t x standard error.
No resample leaves the range of the data, so that percentiles cover 73, 85 and 93 % with three, four and five clusters,
even widened for few; t covers 95 % (Hesterberg, The American Statistician 69(4), 2015, sections 4.1 and 5; simulated in
tests/stats/test_resampling.py).

Standard error. With n clusters in H strata the variance over resamples is too small by (n - H) / n, for which it is
corrected, and has n - H degrees of freedom. Where clusters differ in size, both are computed from the sizes: the
effective number of clusters of a stratum is (sum m)^2 / sum m^2 (Kish, Survey Sampling, 1965), and strata are put
together as in Satterthwaite, Biometrics Bulletin 2, 1946.

Two-way. V = V_sessions + V_sources - V_cells, a cell being a session and a source, and V = V_cells where that is larger
(Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 29(2), 2011). Each of the three has its own
draws. Resampling sessions and sources at once would count the noise of a cell three times (Owen, Annals of Applied
Statistics 1(2), 2007). Degrees of freedom as in Satterthwaite; V_sessions and V_sources count fully from twice V_cells
on and not at all up to it, by which intervals cover 96 to 97 % where neither sessions nor sources differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fsbench.errors import NotScorable
from fsbench.record_types import Unit

FEWEST_STRATA = 3
"""Number of strata from which on strata are drawn again where one of them has a single cluster."""

ENOUGH_PEOPLE = 10
"""Number of people from which on people are a sample; of fewer, all is said of these people.

Two-way intervals of means cover 93 to 97 % with 10 sources and 4 sessions or more, 92 % with 3 sessions.
"""

FEWEST_DEGREES = (2, 3)
"""Degrees of freedom below which there is no interval, one-way and two-way; with one, it is 13 standard errors wide."""

MOST_CLUSTERS = 1000
"""Of more clusters, some are merged: draws take no more memory, and degrees of freedom are plenty."""

MOST_SUBSETS = 8
"""Designs of subsets that are kept, the last ones used: models are mostly scored on the same outputs."""

CONFIDENCE, POWER = 0.95, 0.8

Statistic = Callable[[np.ndarray], float]
"""(M,) indices of samples, with repeats -> the value; NaN or NotScorable where there is none."""


@dataclass(frozen=True)
class Mean:
    """The mean of rows (N,), times a factor, as a `Statistic`: its resamples are sums over clusters, and fast."""

    rows: np.ndarray
    factor: float = 1.0

    def __call__(self, index: np.ndarray) -> float:
        return self.factor * float(self.rows[index].mean())


@dataclass(frozen=True, eq=False)
class Draws:
    """Clusters that are drawn with replacement within strata, as many as there are."""

    cluster: np.ndarray  # (N,) number of each sample's cluster, from 0
    stratum: np.ndarray  # (C,) number of each cluster's stratum, from 0
    resamples: int
    seed: tuple[int, ...]

    @classmethod
    def of(
        cls, labels: np.ndarray, strata: np.ndarray, *, resamples: int, seed: Sequence[int], most: int = MOST_CLUSTERS
    ) -> Draws:
        """Number the clusters with labels (N,) within strata (N,).

        The same labels, seed and number of resamples give the same draws. Of more clusters than `most` those of equal
        rank are merged, within a stratum or, where strata are too many, within a group of strata: what is independent
        remains so.
        """
        label, stratum = _numbered(labels), _numbered(strata).astype(np.int64)
        code, inverse = np.unique(stratum * (label.max(initial=0) + 1) + label, return_inverse=True)
        owner = code // (label.max(initial=0) + 1)  # (C,) stratum of each cluster, ascending
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        group, n_strata = owner % (most // 2), owner.max(initial=-1) + 1
        merged = group * (len(owner) + 1) + rank % max(2, most // max(n_strata, 1))
        _, first, number = np.unique(merged, return_index=True, return_inverse=True)
        return cls(number[inverse].astype(np.int32), group[first], resamples, tuple(seed))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Samples of each cluster, (C,)."""
        return np.bincount(self.cluster, minlength=len(self.stratum))

    @cached_property
    def _drawn(self) -> np.ndarray:
        """Samples of each resample, (B,)."""
        return self._sums(self.sizes, self.resamples)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each cluster is in each resample, (B, C) uint8."""
        random, counts = np.random.default_rng(self.seed), np.zeros((self.resamples, len(self.stratum)), np.uint8)
        for k in np.unique(self.stratum):
            members = np.flatnonzero(self.stratum == k)
            share = np.full(len(members), 1 / len(members))
            counts[:, members] = random.multinomial(len(members), share, self.resamples)
        return counts

    @cached_property
    def _corrections(self) -> tuple[float, float]:
        """Factor of the variance over resamples, and its degrees of freedom, as of a mean whose clusters are alike."""
        total, squares = (np.bincount(self.stratum, self.sizes.astype(np.float64) ** power) for power in (1, 2))
        drawn = np.bincount(self.stratum) > 1  # a single cluster of a stratum is always there
        total, squares = total[drawn], squares[drawn]
        free = total**2 / squares - 1  # the effective number of clusters, less one
        if not len(free) or (free <= 0).any():
            return 1.0, 0.0
        factor = squares.sum() / (squares * free / (free + 1)).sum()
        return float(factor), float(squares.sum() ** 2 / (squares**2 / free).sum())

    @property
    def degrees_of_freedom(self) -> float:
        """Clusters less strata, where clusters are of one size; fewer else."""
        return self._corrections[1]

    def _sums(self, of_clusters: np.ndarray, n: int) -> np.ndarray:
        """Sums over the clusters of the first n resamples, (n,); einsum converts in small buffers, `@` everything."""
        return np.asarray(np.einsum("bc,c->b", self.counts[:n], of_clusters.astype(np.float64)))

    def index(self, resample: int) -> np.ndarray:
        """Samples of a resample, with repeats."""
        return np.repeat(np.arange(len(self.cluster)), self.counts[resample][self.cluster])

    def resample(self, statistic: Statistic, most: int = 0) -> np.ndarray:
        """Values of a statistic over the resamples, or over the first `most`, (B,); NaN where there is none."""
        n = min(self.resamples, most or self.resamples)
        if isinstance(statistic, Mean):
            sums = np.bincount(self.cluster, statistic.rows, minlength=len(self.stratum))
            return np.asarray(statistic.factor * self._sums(sums, n) / self._drawn[:n])
        return np.array([_value(statistic, self.index(i)) for i in range(n)])

    def variance(self, values: np.ndarray) -> float:
        """Sampling variance from values over resamples; infinite where fewer than half have one."""
        known = values[np.isfinite(values)]
        if len(known) < max(2, len(values) / 2):
            return math.inf
        return float(known.var()) * self._corrections[0]


@dataclass(frozen=True)
class Spread:
    """The standard error of a value or a difference."""

    error: float
    degrees_of_freedom: float

    @classmethod
    def of_interval(cls, low: float, high: float, degrees_of_freedom: float) -> Spread:
        """The spread of which an interval of CONFIDENCE was made."""
        return cls((high - low) / 2 / cls(1.0, degrees_of_freedom).quantile(1 - CONFIDENCE), degrees_of_freedom)

    def detectable(self, level: float = 1 - CONFIDENCE) -> float:
        """The smallest true value that is significant at a level, two-sided, with probability POWER.

        It is (t(1 - level / 2) + t(.8)) standard errors (Bloom, Evaluation Review 19(5), 1995).
        """
        return self.margin(level) + self.margin(2 * (1 - POWER))

    def quantile(self, level: float) -> float:
        """Quantile of Student's t that leaves half of `level` on either side."""
        from scipy.special import stdtrit  # slow to import, and not every command needs an interval

        return float(-stdtrit(self.degrees_of_freedom, level / 2))

    def margin(self, level: float) -> float:
        """What a value exceeds in either direction with probability `level` where the true one is 0."""
        return self.quantile(level) * self.error

    def p_above(self, value: float) -> float:
        """One-sided p-value of a value where the true one is 0 or less."""
        from scipy.special import stdtr  # slow to import

        return float(stdtr(self.degrees_of_freedom, -value / self.error))

    def interval(self, value: float) -> tuple[float, float]:
        """The interval of CONFIDENCE about a value."""
        half = self.margin(1 - CONFIDENCE)
        return value - half, value + half


@dataclass(frozen=True)
class Difference:
    """Two values of the same samples compared."""

    effect: float  # the first less the second
    low: float
    high: float
    p: float  # two-sided, of no difference
    # smallest true difference that is significant at 5 % with a probability of 80 %; None where nothing varies
    detectable: float | None
    degrees_of_freedom: float | None  # of the standard error; None where nothing varies

    @property
    def spread(self) -> Spread | None:
        """The standard error; None where nothing varies."""
        known = self.degrees_of_freedom
        return Spread.of_interval(self.low, self.high, known) if known is not None else None


@dataclass(frozen=True, eq=False)
class Design:
    """How the samples of an evaluation set are drawn again.

    It is a function of labels, resamples and seed, so that every model, metric and judge gets the same resamples, and a
    difference is paired by subtracting resampled values.
    """

    people: np.ndarray  # (N,) number of each target's identity
    sessions: np.ndarray  # (N,) number of each target's session, or clip
    sources: np.ndarray  # (N,) number of each source identity
    resamples: int
    seed: int
    _subsets: dict[bytes, Design] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, people: np.ndarray, sessions: np.ndarray, sources: np.ndarray, *, resamples: int, seed: int) -> Design:
        """Make a design from labels (N,); sessions of two people are different ones whatever their labels."""
        person, session, source = (_numbered(labels) for labels in (people, sessions, sources))
        return cls(person, _numbered(person.astype(np.int64) * len(session) + session), source, resamples, seed)

    def __len__(self) -> int:
        return len(self.people)

    def among(self, kept: np.ndarray) -> Design:
        """Return the design of some of the samples, (N,) bool; the same ones have the same resamples."""
        if kept.all():
            return self
        key = np.packbits(kept).tobytes()
        subset = self._subsets.pop(key, None) or self._take(kept)
        self._subsets[key] = subset  # the last one used stands last
        while len(self._subsets) > MOST_SUBSETS:
            self._subsets.pop(next(iter(self._subsets)))
        return subset

    def _take(self, kept: np.ndarray) -> Design:
        return Design(self.people[kept], self.sessions[kept], self.sources[kept], self.resamples, self.seed)

    @cached_property
    def _sessions_of(self) -> np.ndarray:
        """Number of sessions of each person, (P,)."""
        first = np.unique(self.sessions, return_index=True)[1]
        return np.unique(self.people[first], return_counts=True)[1]

    @property
    def _whole_people(self) -> bool:
        """Whether people are drawn, each with all sessions: of three or more, somebody has a single session.

        The interval then covers other people, and not other sessions of these.
        """
        return len(self._sessions_of) >= FEWEST_STRATA and bool(self._sessions_of.min() == 1)

    @cached_property
    def draws(self) -> tuple[Draws, ...]:
        """Draws of sessions; of a two-way design also those of sources, and of cells."""
        everything = np.zeros(len(self), np.int32)
        labels, strata = (self.people, everything) if self._whole_people else (self.sessions, self.people)
        cells = labels.astype(np.int64) * (self.sources.max(initial=0) + 1) + self.sources
        first, sources, crossed = (
            Draws.of(names, within, resamples=self.resamples, seed=(self.seed, i))
            for i, (names, within) in enumerate([(labels, strata), (self.sources, everything), (cells, strata)])
        )
        return (first, sources, crossed) if sources.degrees_of_freedom > ENOUGH_PEOPLE - 1.5 else (first,)

    @property
    def unit(self) -> Unit:
        """What is drawn again."""
        if len(self.draws) > 1:
            return "people and sources" if self._whole_people else "sessions and sources"
        return "people" if self._whole_people else "sessions"

    @property
    def n_clusters(self) -> int:
        """Sessions, or people where people are drawn."""
        return len(self._sessions_of) if self._whole_people else int(self._sessions_of.sum())

    @property
    def reason(self) -> str:
        """Why there are no intervals, "" where there are."""
        n, n_people = self.n_clusters, len(self._sessions_of)
        if not self._whole_people and n > n_people and self._sessions_of.min() == 1:
            return "a target person has images of one session: what others would give is not known"
        fewest = FEWEST_DEGREES[len(self.draws) > 1]
        if self.draws[0].degrees_of_freedom > fewest - 0.5:
            return ""
        what = self.unit.split()[0]
        if n - (1 if self._whole_people else n_people) >= fewest:
            return f"most samples are of one of the {n} {what} of targets: there is no interval"
        what = {"sessions": "session", "people": "person"}[what] if n == 1 else what
        return f"{n} {what} of targets {'is' if n == 1 else 'are'} too few for an interval"

    def resample(self, statistic: Statistic, most: int = 0) -> np.ndarray:
        """Values over the resamples of each of `draws`, or over the first `most`, (1 or 3, B)."""
        return np.stack([draws.resample(statistic, most) for draws in self.draws])

    def spread(self, resampled: np.ndarray) -> Spread:
        """Standard error from values over resamples (1 or 3, B); raises NotScorable where none can be had."""
        if self.reason:
            raise NotScorable(self.reason)
        variances = [draws.variance(values) for draws, values in zip(self.draws, resampled, strict=True)]
        if not all(map(math.isfinite, variances)):
            raise NotScorable("fewer than half of the resamples have a value")
        free = [draws.degrees_of_freedom for draws in self.draws]
        if len(variances) == 1:
            return Spread(math.sqrt(variances[0]), free[0])
        cells = variances[2]
        variance = max(variances[0] + variances[1] - cells, cells)
        parts = [*(min(max(2 * (own - cells), 0.0), own) for own in variances[:2]), cells]
        if not variance:
            return Spread(0.0, min(free))
        return Spread(
            math.sqrt(variance), variance**2 / sum(part**2 / degrees for part, degrees in zip(parts, free, strict=True))
        )

    def difference(self, effect: float, a: np.ndarray, b: np.ndarray) -> Difference:
        """Compare two values whose difference is `effect`, from their values over the same resamples.

        Raises NotScorable where there is no standard error. The p-value is that of Student's t; where the difference is
        the same in all resamples, it is that of a sign test, in which n clusters agree by chance in 2 of 2^n cases.
        """
        from scipy.special import stdtr  # slow to import

        n = min(a.shape[1], b.shape[1])
        spread = self.spread(a[:, :n] - b[:, :n])
        low, high = spread.interval(effect)
        rounding = 1e-12 * max(abs(effect), float(np.nanmax(np.abs(a))))
        if spread.error <= rounding:
            agreeing = 2.0 ** (1 - min(self.n_clusters, MOST_CLUSTERS))
            return Difference(effect, low, high, 1.0 if abs(effect) <= rounding else agreeing, None, None)
        p = 2 * float(stdtr(spread.degrees_of_freedom, -abs(effect) / spread.error))
        return Difference(effect, low, high, p, spread.detectable(), spread.degrees_of_freedom)


def holm(ps: Sequence[float]) -> list[float]:
    """P-values corrected for all comparisons together, in their order.

    Holm, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for place, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[i]))
        adjusted[i] = largest
    return adjusted


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Numbers of labels from 0, (N,) int32."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _value(statistic: Statistic, index: np.ndarray) -> float:
    try:
        return statistic(index)
    except NotScorable:
        return math.nan
