"""How a metric responds to a ladder of known faults: whether, from which strength on, up to which, and how much.

A change is positive where the metric calls the outputs worse, whichever of its directions is better. Conditions share
their images, so changes are paired by image. Whole sessions are resampled, the same ones in every condition.
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
_FEWEST = 3  # sessions of a person; where one has fewer, sessions are resampled from all people alike


@dataclass(frozen=True)
class Resampling:
    """How the outputs of a condition are resampled: whole sessions."""

    n: int  # outputs
    resamples: tuple[np.ndarray, ...]  # indices of outputs, with repeats
    halves: tuple[tuple[np.ndarray, np.ndarray], ...]  # of the sessions of each person
    degrees_of_freedom: int  # sessions less strata
    correction: float  # factor of the standard deviation over resamples, which few sessions make too small

    def parts(self, size: int, seed: int, sessions: np.ndarray) -> list[np.ndarray]:
        """Draw as many times `size` outputs of whole sessions, without repeats, as there are halves."""
        random, labels = np.random.default_rng([seed, size]), np.unique(sessions)
        return [
            np.concatenate([np.flatnonzero(sessions == label) for label in random.permutation(labels)])[:size]
            for _ in range(2 * len(self.halves))
        ]


def resampling(
    sessions: np.ndarray, people: np.ndarray, *, resamples: int, splits: int = 10, seed: int = 0
) -> Resampling:
    """Choose the resamples for outputs of `sessions` (N,) of `people` (N,): whole sessions, within each person.

    Where somebody has fewer than three sessions, people are not kept apart. One session alone cannot be resampled.
    """
    if min(len(np.unique(sessions[people == person])) for person in np.unique(people)) < _FEWEST:
        people = np.zeros(len(sessions), int)
    strata = [
        [np.flatnonzero((people == person) & (sessions == label)) for label in np.unique(sessions[people == person])]
        for person in np.unique(people)
    ]
    fewest, degrees_of_freedom = min(map(len, strata)), sum(map(len, strata)) - len(strata)
    if fewest < 2:
        return Resampling(len(sessions), (), (), 0, 1.0)
    random = np.random.default_rng(seed)
    indices = tuple(
        np.concatenate([group[k] for group in strata for k in random.integers(0, len(group), len(group))])
        for _ in range(resamples)
    )
    return Resampling(
        len(sessions),
        indices,
        tuple(_halve(strata, random) for _ in range(splits)),
        degrees_of_freedom,
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
        """Build one from which outputs could be scored, (N,) bool."""
        return cls(of, np.where(scored, np.cumsum(scored) - 1, -1), fewest)

    @property
    def scored_outputs(self) -> np.ndarray:
        """Which outputs could be scored, (N,)."""
        return self.place >= 0

    def __call__(self, index: np.ndarray) -> float:
        """Return the value of some outputs, with repeats; NaN where there is none."""
        rows = self.place[index]
        rows = rows[rows >= 0]
        if len(rows) < self.fewest:
            return math.nan
        try:
            value = self.of(rows)
        except NotScorable:
            return math.nan
        return value if math.isfinite(value) else math.nan

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
    enough_scored: bool  # so many outputs that the strength counts
    significant: bool  # the change is larger than chance


@dataclass(frozen=True)
class Response:
    """What a metric does as a fault grows."""

    steps: tuple[Step, ...]  # of growing strength, the first is 0
    rho: float | None  # Spearman's, of strength and how bad the outputs are called; 1 is worse at every step
    rho_low: float | None
    rho_high: float | None
    direction: Literal[-1, 0, 1]  # 1 called worse, -1 called better, 0 no change that is more than chance
    detection_threshold: float | None  # smallest strength from which on every one is significant
    saturation_threshold: float | None  # smallest strength beyond which less than a tenth of the range is left
    turning_point: float | None  # strength after which more damage is called better, though damage is called worse
    change: float  # at the largest strength that counts; of several directions the largest one
    effect_size: float | None  # that change, in standard errors of the value over resamples of as many images


def respond(
    conditions: Sequence[Condition],
    strengths: Sequence[float],
    worse: int,
    resampling: Resampling,
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> Response | None:
    """Compare conditions of growing strength, the first of which is 0; None where the perfect outputs have no value.

    `worse` is 1 where larger values are worse, else -1. A change is significant where it is larger than its bootstrap
    standard error by the quantile of Student's t that leaves `alpha` to all strengths together (Bonferroni): with
    alpha divided by the number of faults, a metric that responds to nothing is wrong about any of them with
    probability alpha. Intervals of values and changes are `confidence`, one at a time, and do not know of the others.
    """
    everything = np.arange(resampling.n)
    values = np.array([condition(everything) for condition in conditions])
    if math.isnan(values[0]):
        return None
    resampled = np.array(
        [[condition(index) for index in resampling.resamples] for condition in conditions]
    )  # (K + 1, B)
    pairs = [_paired(conditions, values, resampled, k, resampling) for k in range(len(conditions))]
    change = worse * np.array([difference for difference, _ in pairs])
    resampled_change = worse * np.array([differences for _, differences in pairs])  # (K + 1, B)
    change[np.abs(change) < _ROUNDING * np.nanmax(np.abs(values))] = 0
    n_scored = np.array([condition.scored_outputs.sum() for condition in conditions])
    enough_scored = (n_scored >= ENOUGH * n_scored[0]) & np.isfinite(change)
    change_error = np.array([_standard_error(row, resampling) for row in resampled_change])
    level = alpha / (len(conditions) - 1)
    significant = enough_scored & (np.abs(change) > _t(level, resampling) * change_error) & (change != 0)
    value_error = np.array([_standard_error(row, resampling) for row in resampled])
    ladder = np.flatnonzero(enough_scored)
    direction, first = _direction(ladder, change, significant)
    extreme = ladder[-1]
    if direction and not significant[extreme]:
        extreme = max((k for k in ladder if significant[k]), key=lambda k: abs(change[k]))
    rho, rho_low, rho_high = _ranks(ladder, strengths, worse * values, worse * resampled, confidence)
    half = _t(1 - confidence, resampling)
    steps = tuple(
        Step(
            strength, int(n_scored[k]), *_bounds(values[k], half * value_error[k]),
            *_bounds(change[k], half * change_error[k]), enough_scored=bool(enough_scored[k]),
            significant=bool(significant[k]),
        )
        for k, strength in enumerate(strengths)
    )  # fmt: skip
    unit = math.sqrt((value_error[0] ** 2 + value_error[extreme] ** 2) / 2)
    return Response(
        steps,
        rho,
        rho_low,
        rho_high,
        direction,
        None if first is None else strengths[first],
        _saturated(ladder, strengths, change) if direction else None,
        _turned(ladder, strengths, change, resampled_change, level, resampling) if direction > 0 else None,
        float(change[extreme]),
        float(change[extreme] / unit) if math.isfinite(unit) and unit > 0 else None,
    )


def _paired(
    conditions: Sequence[Condition], values: np.ndarray, resampled: np.ndarray, k: int, resampling: Resampling
) -> tuple[float, np.ndarray]:
    """Difference to the perfect outputs, of the images that can be scored in both, and the same for every resample."""
    perfect, faulty = conditions[0], conditions[k]
    if np.array_equal(perfect.scored_outputs, faulty.scored_outputs):
        return float(values[k] - values[0]), resampled[k] - resampled[0]
    both = perfect.scored_outputs & faulty.scored_outputs
    perfect, faulty = perfect.among(both), faulty.among(both)
    everything = np.arange(resampling.n)
    differences = np.array([faulty(index) - perfect(index) for index in resampling.resamples])
    return faulty(everything) - perfect(everything), differences


def _standard_error(resampled: np.ndarray, resampling: Resampling) -> float:
    """Standard deviation over the resamples that have a value; infinite where fewer than half have one."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(2, len(resampled) / 2):
        return math.inf
    return float(known.std() * resampling.correction)


def _t(level: float, resampling: Resampling) -> float:
    """Quantile of Student's t that leaves half of `level` on either side."""
    from scipy.special import stdtrit  # slow to import

    return float(-stdtrit(resampling.degrees_of_freedom, level / 2)) if resampling.degrees_of_freedom else math.inf


def _direction(ladder: np.ndarray, change: np.ndarray, significant: np.ndarray) -> tuple[Literal[-1, 0, 1], int | None]:
    """Which way the strongest fault moves it, and from where on; else which way any does, and the first that does."""
    last = ladder[-1]
    if not significant[last]:
        others = [int(k) for k in ladder if significant[k]]
        if not others:
            return 0, None
        return (1 if change[max(others, key=lambda k: abs(change[k]))] > 0 else -1), others[0]
    first = last
    for k in ladder[::-1]:
        if not significant[k] or change[k] * change[last] <= 0:
            break
        first = k
    return (1 if change[last] > 0 else -1), int(first)


def _ranks(
    ladder: np.ndarray, strengths: Sequence[float], bad: np.ndarray, resampled: np.ndarray, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Spearman's correlation over the strengths that count, and its percentile interval; None for fewer than three."""
    if len(ladder) < 3:
        return None, None, None
    grown = np.array(strengths)[ladder]
    rho = spearman(grown, bad[ladder])
    again = [spearman(grown, column) for column in resampled[ladder].T if np.isfinite(column).all()]
    if len(again) < max(2, resampled.shape[1] / 2):
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
    ladder: np.ndarray,
    strengths: Sequence[float],
    change: np.ndarray,
    resampled: np.ndarray,
    level: float,
    resampling: Resampling,
) -> float | None:
    """Where the largest fall that is more than chance, and a tenth of the range, begins."""
    largest, turn = 0.0, None
    reach, quantile = np.ptp(change[ladder]), _t(level / len(ladder), resampling)
    for place, i in enumerate(ladder):
        for j in ladder[place + 1 :]:
            fall = float(change[i] - change[j])
            error = _standard_error(resampled[i] - resampled[j], resampling)
            if fall > max(NEGLIGIBLE * reach, quantile * error, largest):
                largest, turn = fall, strengths[int(i)]
    return turn


def full_scale(responses: Sequence[tuple[Response, Expected]]) -> float | None:
    """The largest change that a fault which the metric should see makes; None where it sees none of them."""
    changes = [response.change for response, expected in responses if expected == "respond" and response.direction > 0]
    return max(changes, default=None)


def verdict(response: Response, expected: Expected, full: float | None) -> Verdict:
    """Say whether a response is what it should be.

    What should be ignored is ignored as long as it moves the value by less than a tenth of `full`, the metric's largest
    response to what it measures; where that is not known, by less than one standard error.
    """
    effect_size = abs(response.effect_size) if response.effect_size is not None else math.inf
    matters = abs(response.change) >= NEGLIGIBLE * full if full else effect_size >= 1
    if expected == "respond" and not response.direction:
        return "blind"
    if expected != "respond" and not (response.direction and matters):
        return "ignores"
    if response.direction < 0:
        return "wrong_way"
    if expected == "ignore":
        return "leaks"
    return "responds" if response.turning_point is None else "turns_back"


def reliability(halves: np.ndarray) -> float | None:
    """Correlation of two halves of the data over conditions, (conditions, splits, 2), stepped up to the whole.

    r' = 2 r / (1 + r): Spearman and Brown, British Journal of Psychology 3, 1910; mean over splits. None for fewer than
    three conditions, and where the value is the same in all.
    """
    correlations = []
    for split in np.moveaxis(halves, 1, 0):
        known = split[np.isfinite(split).all(1)]
        if len(known) < 3 or (np.ptp(known, axis=0) <= _ROUNDING * np.abs(known).max()).any():
            continue
        r = float(np.corrcoef(known.T)[0, 1])
        correlations.append(max(2 * r / (1 + r), -1.0) if r > -1 else -1.0)
    return float(np.mean(correlations)) if correlations else None
