"""What a ladder of known faults tells about a metric: does it respond, from when on, up to when, and how much.

Everything is said in terms of damage: a change is positive where the metric calls the outputs worse, whichever of its
directions is better. Conditions share their images, so changes are paired by image; what is drawn again are whole
sessions, the same ones in every condition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fsbench.errors import NotScorable

Expected = Literal["respond", "ignore", "either"]
"""What a metric should do about a fault; either, where the fault cannot but touch something that it measures."""

Verdict = Literal["responds", "turns_back", "blind", "ignores", "leaks", "wrong_way", "unexamined"]

NEGLIGIBLE = 0.1
"""Share of a range below which a change is called nothing: what is left after saturation, what another fault moves."""

ENOUGH = 0.5
"""Share of the outputs that can be scored without a fault; a strength at which fewer can be scored does not count."""

_ROUNDING = 1e-9  # of the values: a smaller change is none
_FEWEST = 3  # sessions of a person; where one has fewer, sessions are drawn from all people alike


@dataclass(frozen=True)
class Design:
    """How the outputs of a condition are drawn again."""

    n: int
    draws: tuple[np.ndarray, ...]  # indices of outputs, with repeats
    halves: tuple[tuple[np.ndarray, np.ndarray], ...]  # of the sessions of each person
    freedom: int  # degrees of freedom: sessions less strata
    widening: float  # what the standard deviation over draws of few sessions lacks

    def parts(self, size: int, seed: int, sessions: np.ndarray) -> list[np.ndarray]:
        """Draw as many times `size` outputs of whole sessions, without repeats, as there are halves."""
        random, labels = np.random.default_rng([seed, size]), np.unique(sessions)
        return [
            np.concatenate([np.flatnonzero(sessions == label) for label in random.permutation(labels)])[:size]
            for _ in range(2 * len(self.halves))
        ]


def design(sessions: np.ndarray, people: np.ndarray, *, resamples: int, splits: int = 10, seed: int = 0) -> Design:
    """Plan the draws for outputs of `sessions` (N,) of `people` (N,): whole sessions, within each person.

    Where somebody has fewer than three sessions, people are not kept apart. One session alone cannot be drawn again.
    """
    if min(len(np.unique(sessions[people == person])) for person in np.unique(people)) < _FEWEST:
        people = np.zeros(len(sessions), int)
    strata = [
        [np.flatnonzero((people == person) & (sessions == label)) for label in np.unique(sessions[people == person])]
        for person in np.unique(people)
    ]
    fewest, freedom = min(map(len, strata)), sum(map(len, strata)) - len(strata)
    if fewest < 2:
        return Design(len(sessions), (), (), 0, 1.0)
    random = np.random.default_rng(seed)
    draws = tuple(
        np.concatenate([group[k] for group in strata for k in random.integers(0, len(group), len(group))])
        for _ in range(resamples)
    )
    return Design(
        len(sessions),
        draws,
        tuple(_halve(strata, random) for _ in range(splits)),
        freedom,
        math.sqrt(fewest / (fewest - 1)),
    )


def _halve(strata: Sequence[Sequence[np.ndarray]], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split the sessions of each person in two; who gets the odd one is left to chance."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for group in strata:
        first = int(random.integers(2))
        for place, k in enumerate(random.permutation(len(group))):
            sides[(place + first) % 2].append(group[k])
    return np.concatenate(sides[0]), np.concatenate(sides[1])


@dataclass(frozen=True)
class Condition:
    """The outputs of one fault at one strength, as one metric scored them."""

    of: Callable[[np.ndarray], float]  # the metric's value, of indices into the rows that it could score
    place: np.ndarray  # (N,) where the row of each output is, -1 where it could not be scored
    fewest: int = 1  # outputs of which the metric has a value

    @classmethod
    def scored(cls, of: Callable[[np.ndarray], float], scored: np.ndarray, fewest: int = 1) -> Condition:
        """Take which outputs (N,) could be scored."""
        return cls(of, np.where(scored, np.cumsum(scored) - 1, -1), fewest)

    @property
    def seen(self) -> np.ndarray:
        """Which outputs could be scored, (N,)."""
        return self.place >= 0

    def __call__(self, index: np.ndarray) -> float:
        """Return the value of some outputs, with repeats; NaN where there is none."""
        rows = self.place[index]
        rows = rows[rows >= 0]
        if len(rows) < self.fewest:
            return math.nan
        try:
            found = self.of(rows)
        except NotScorable:
            return math.nan
        return found if math.isfinite(found) else math.nan

    def among(self, kept: np.ndarray) -> Condition:
        """Return the same with some of the outputs (N,) only."""
        return replace(self, place=np.where(kept, self.place, -1))


@dataclass(frozen=True)
class Step:
    """One strength: the value, and its change from the perfect outputs; None where there is none."""

    strength: float
    n_scored: int
    value: float | None
    low: float | None
    high: float | None
    change: float | None  # positive: called worse; of the images that can be scored with the fault and without
    change_low: float | None
    change_high: float | None
    counts: bool  # enough outputs could be scored
    noticed: bool  # the change is more than chance


@dataclass(frozen=True)
class Response:
    """What a metric does as a fault grows."""

    steps: tuple[Step, ...]  # of growing strength, the first is 0
    rho: float | None  # Spearman's, of strength and how bad the outputs are called; 1 is worse at every step
    rho_low: float | None
    rho_high: float | None
    direction: Literal[-1, 0, 1]  # 1 called worse, -1 called better, 0 no change that is more than chance
    detected: float | None  # smallest strength from which on every one is noticed
    saturated: float | None  # smallest strength beyond which less than a tenth of the range is left
    turned: float | None  # strength after which more damage is called better, though damage is called worse
    change: float  # at the largest strength that counts; of several directions the largest one
    size: float | None  # that change, in spreads of the value over draws of as many images


def respond(
    conditions: Sequence[Condition],
    strengths: Sequence[float],
    worse: int,
    plan: Design,
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> Response | None:
    """Compare conditions of growing strength, the first of which is 0; None where the perfect outputs have no value.

    `worse` is 1 where larger values are worse, else -1. A change is noticed where it is larger than its bootstrap
    standard error by the quantile of Student's t that leaves `alpha` to all strengths together (Bonferroni): with
    alpha divided by the number of faults, a metric that responds to nothing is wrong about any of them with
    probability alpha. Intervals of values and changes are `confidence`, one at a time, and do not know of the others.
    """
    everything = np.arange(plan.n)
    values = np.array([condition(everything) for condition in conditions])
    if math.isnan(values[0]):
        return None
    drawn = np.array([[condition(draw) for draw in plan.draws] for condition in conditions])  # (K + 1, B)
    pairs = [_paired(conditions, values, drawn, k, plan) for k in range(len(conditions))]
    change = worse * np.array([mean for mean, _ in pairs])
    moved = worse * np.array([draws for _, draws in pairs])  # (K + 1, B)
    change[np.abs(change) < _ROUNDING * np.nanmax(np.abs(values))] = 0
    enough = ENOUGH * conditions[0].seen.sum()
    counts = np.array([condition.seen.sum() >= enough for condition in conditions]) & np.isfinite(change)
    error = np.array([_spread(one, plan) for one in moved])
    level = alpha / (len(conditions) - 1)
    noticed = counts & (np.abs(change) > _t(level, plan) * error) & (change != 0)
    spread = np.array([_spread(one, plan) for one in drawn])
    ladder = np.flatnonzero(counts)
    direction, detected = _direction(ladder, change, noticed)
    extreme = ladder[-1]
    if direction and not noticed[extreme]:
        extreme = max((k for k in ladder if noticed[k]), key=lambda k: abs(change[k]))
    rho, rho_low, rho_high = _ranks(ladder, strengths, worse * values, worse * drawn, confidence)
    half = _t(1 - confidence, plan)
    steps = tuple(
        Step(
            strength, int(condition.seen.sum()), *_bounds(values[k], half * spread[k]),
            *_bounds(change[k], half * error[k]), counts=bool(counts[k]), noticed=bool(noticed[k]),
        )
        for k, (strength, condition) in enumerate(zip(strengths, conditions, strict=True))
    )  # fmt: skip
    unit = math.sqrt((spread[0] ** 2 + spread[extreme] ** 2) / 2)
    return Response(
        steps,
        rho,
        rho_low,
        rho_high,
        direction,
        None if detected is None else strengths[detected],
        _saturated(ladder, strengths, change) if direction else None,
        _turned(ladder, strengths, change, moved, level, plan) if direction > 0 else None,
        float(change[extreme]),
        float(change[extreme] / unit) if math.isfinite(unit) and unit > 0 else None,
    )


def _paired(
    conditions: Sequence[Condition], values: np.ndarray, drawn: np.ndarray, k: int, plan: Design
) -> tuple[float, np.ndarray]:
    """Difference to the perfect outputs, of the images that can be scored in both, and the same for every draw."""
    perfect, faulty = conditions[0], conditions[k]
    if np.array_equal(perfect.seen, faulty.seen):
        return float(values[k] - values[0]), drawn[k] - drawn[0]
    both = perfect.seen & faulty.seen
    one, other = perfect.among(both), faulty.among(both)
    everything = np.arange(plan.n)
    return other(everything) - one(everything), np.array([other(draw) - one(draw) for draw in plan.draws])


def _spread(drawn: np.ndarray, plan: Design) -> float:
    """Standard deviation over the draws that have a value; infinite where fewer than half have one."""
    known = drawn[np.isfinite(drawn)]
    if len(known) < max(2, len(drawn) / 2):
        return math.inf
    return float(known.std() * plan.widening)


def _t(level: float, plan: Design) -> float:
    """Quantile of Student's t that leaves half of `level` on either side."""
    from scipy.special import stdtrit  # slow to import

    return float(-stdtrit(plan.freedom, level / 2)) if plan.freedom else math.inf


def _direction(
    ladder: np.ndarray, change: np.ndarray, noticed: np.ndarray
) -> tuple[Literal[-1, 0, 1], int | None]:
    """Which way the strongest fault moves it, and from where on; else which way any does, and the first that does."""
    last = ladder[-1]
    if not noticed[last]:
        found = [int(k) for k in ladder if noticed[k]]
        if not found:
            return 0, None
        return (1 if change[max(found, key=lambda k: abs(change[k]))] > 0 else -1), found[0]
    first = last
    for k in ladder[::-1]:
        if not noticed[k] or change[k] * change[last] <= 0:
            break
        first = k
    return (1 if change[last] > 0 else -1), int(first)


def _ranks(
    ladder: np.ndarray, strengths: Sequence[float], bad: np.ndarray, drawn: np.ndarray, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Spearman's correlation over the strengths that count, and its percentile interval; None for fewer than three."""
    if len(ladder) < 3:
        return None, None, None
    grown = np.array(strengths)[ladder]
    rho = spearman(grown, bad[ladder])
    again = [spearman(grown, one) for one in drawn[ladder].T if np.isfinite(one).all()]
    if len(again) < max(2, drawn.shape[1] / 2):
        return rho, None, None
    low, high = np.quantile(again, [(1 - confidence) / 2, (1 + confidence) / 2])
    return rho, float(low), float(high)


def spearman(strength: np.ndarray, bad: np.ndarray) -> float:
    """Spearman's rank correlation with mean ranks for ties; 0 where nothing changes. Rounding is a tie."""
    from scipy.stats import rankdata  # slow to import

    scale = np.abs(bad).max()
    ranks = rankdata(np.round(bad / scale, 9) if scale else bad)
    if np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(strength), ranks)[0, 1])


def _bounds(value: float, half: float) -> tuple[float | None, float | None, float | None]:
    """A value and its interval; None for what is not known."""
    if not math.isfinite(value):
        return None, None, None
    if not math.isfinite(half):
        return float(value), None, None
    return float(value), float(value - half), float(value + half)


def _saturated(ladder: np.ndarray, strengths: Sequence[float], change: np.ndarray) -> float | None:
    reach = np.ptp(change[ladder])
    for place, k in enumerate(ladder[:-1]):
        if np.abs(change[ladder[place + 1 :]] - change[k]).max() < NEGLIGIBLE * reach:
            return float(strengths[int(k)])
    return None


def _turned(
    ladder: np.ndarray, strengths: Sequence[float], change: np.ndarray, moved: np.ndarray, level: float, plan: Design
) -> float | None:
    """Where the largest fall that is more than chance, and a tenth of the range, begins."""
    found: tuple[float, int] | None = None
    reach, quantile = np.ptp(change[ladder]), _t(level / len(ladder), plan)
    for place, i in enumerate(ladder):
        for j in ladder[place + 1 :]:
            fall = float(change[i] - change[j])
            if fall > max(NEGLIGIBLE * reach, quantile * _spread(moved[i] - moved[j], plan), found[0] if found else 0):
                found = fall, int(i)
    return None if found is None else strengths[found[1]]


def full_scale(responses: Sequence[tuple[Response, Expected]]) -> float | None:
    """The largest change that a fault which the metric should see makes; None where it sees none of them."""
    seen = [one.change for one, expected in responses if expected == "respond" and one.direction > 0]
    return max(seen) if seen else None


def verdict(response: Response, expected: Expected, full: float | None) -> Verdict:
    """Say whether a response is what it should be.

    What should be ignored is ignored as long as it moves the value by less than a tenth of `full`, the metric's largest
    response to what it measures; where that is not known, by less than one spread.
    """
    size = abs(response.size) if response.size is not None else math.inf
    matters = abs(response.change) >= NEGLIGIBLE * full if full else size >= 1
    if expected == "respond" and not response.direction:
        return "blind"
    if expected != "respond" and not (response.direction and matters):
        return "ignores"
    if response.direction < 0:
        return "wrong_way"
    if expected == "ignore":
        return "leaks"
    return "responds" if response.turned is None else "turns_back"


def reliability(halves: np.ndarray) -> float | None:
    """Correlation of two halves of the data over conditions, (conditions, splits, 2), stepped up to the whole.

    r' = 2 r / (1 + r): Spearman and Brown, British Journal of Psychology 3, 1910; mean over splits. None for fewer than
    three conditions, and where the value is the same in all.
    """
    found = []
    for one in np.moveaxis(halves, 1, 0):
        known = one[np.isfinite(one).all(1)]
        if len(known) < 3 or (np.ptp(known, axis=0) <= _ROUNDING * np.abs(known).max()).any():
            continue
        r = float(np.corrcoef(known.T)[0, 1])
        found.append(max(2 * r / (1 + r), -1.0) if r > -1 else -1.0)
    return float(np.mean(found)) if found else None
