"""How a metric responds to a ladder of known faults: whether, from which strength on, up to which, and how much.

A change is positive where the metric calls the outputs worse, whichever of its directions is better. Conditions share
their images, so changes are paired by image. All conditions have the same resamples, those of one `Design`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fsbench.errors import NotScorable
from fsbench.stats.resampling import CONFIDENCE, Design, Spread, Statistic

Expected = Literal["respond", "ignore", "either"]
"""What a metric should do about a fault; either, where the fault cannot but touch something that it measures."""

Verdict = Literal["responds", "turns_back", "blind", "ignores", "leaks", "wrong_way", "unexamined"]

NEGLIGIBLE = 0.1
"""Share of a range below which a change is called nothing: what is left after saturation, what another fault moves."""

ENOUGH = 0.5
"""Share of the outputs that can be scored without a fault; a strength at which fewer can be scored does not count."""

_ROUNDING = 1e-9  # of the values: a smaller change is none


def halves(design: Design, splits: int = 10) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Split the clusters of each stratum in two, so many times; none where a design allows no interval.

    Returns indices of outputs. Who gets the odd cluster is left to chance.
    """
    if design.reason:
        return ()
    draws, random = design.draws[0], np.random.default_rng([design.seed, splits])
    split = []
    for _ in range(splits):
        order = random.permutation(len(draws.stratum))
        place = np.zeros(len(order), int)
        for k in np.unique(draws.stratum):
            members = order[draws.stratum[order] == k]
            place[members] = np.arange(len(members)) + random.integers(2)
        second = (place % 2 == 1)[draws.cluster]
        split.append((np.flatnonzero(~second), np.flatnonzero(second)))
    return tuple(split)


def parts(design: Design, size: int, times: int = 20) -> list[np.ndarray]:
    """Draw `size` outputs of whole sessions, without repeats, so many times; none where there is no interval."""
    if design.reason:
        return []
    random, labels = np.random.default_rng([design.seed, size]), np.unique(design.sessions)
    return [
        np.concatenate([np.flatnonzero(design.sessions == label) for label in random.permutation(labels)])[:size]
        for _ in range(times)
    ]


@dataclass(frozen=True)
class Condition:
    """The outputs of one fault at one strength, as one metric scored them."""

    of: Statistic  # the metric's value, of indices into the rows that it could score
    place: np.ndarray  # (N,) where the row of each output is, -1 where it could not be scored
    fewest: int = 1  # outputs of which the metric has a value

    @classmethod
    def scored(cls, of: Statistic, scored: np.ndarray, fewest: int = 1) -> Condition:
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
    design: Design,
    *,
    most: int = 0,
    alpha: float = 0.05,
) -> Response | None:
    """Compare conditions of growing strength, the first of which is 0; None where the perfect outputs have no value.

    `worse` is 1 where larger values are worse, else -1; `most` is the largest number of resamples, 0 for all. A change
    is significant where it is larger than its standard error by the quantile of Student's t that leaves `alpha` to all
    strengths together (Bonferroni): with alpha divided by the number of faults, a metric that responds to nothing is
    wrong about any of them with probability alpha. Intervals of values and changes do not know of each other.
    """
    everything = np.arange(len(design))
    values = np.array([condition(everything) for condition in conditions])
    if math.isnan(values[0]):
        return None
    resampled = np.stack([design.resample(condition, most) for condition in conditions])  # (K + 1, 1 or 3, B)
    pairs = [_paired(conditions, values, resampled, k, design, most) for k in range(len(conditions))]
    change = worse * np.array([difference for difference, _ in pairs])
    resampled_change = worse * np.stack([differences for _, differences in pairs])  # (K + 1, 1 or 3, B)
    change[np.abs(change) < _ROUNDING * np.nanmax(np.abs(values))] = 0
    n_scored = np.array([condition.scored_outputs.sum() for condition in conditions])
    enough_scored = (n_scored >= ENOUGH * n_scored[0]) & np.isfinite(change)
    spreads = [_spread(design, rows) for rows in resampled]
    of_change = [_spread(design, rows) for rows in resampled_change]
    level = alpha / (len(conditions) - 1)
    margin = np.array([spread.margin(level) for spread in of_change])
    significant = enough_scored & (np.abs(change) > margin) & (change != 0)
    ladder = np.flatnonzero(enough_scored)
    direction, first = _direction(ladder, change, significant)
    extreme = ladder[-1]
    if direction and not significant[extreme]:
        extreme = max((k for k in ladder if significant[k]), key=lambda k: abs(change[k]))
    redrawn = resampled[:, 0, : 0 if design.reason else None]
    rho, rho_low, rho_high = _ranks(ladder, strengths, worse * values, worse * redrawn)
    steps = tuple(
        Step(
            strength, int(n_scored[k]), *_bounds(values[k], spreads[k]),
            *_bounds(change[k], of_change[k]), enough_scored=bool(enough_scored[k]),
            significant=bool(significant[k]),
        )
        for k, strength in enumerate(strengths)
    )  # fmt: skip
    unit = math.sqrt((spreads[0].error ** 2 + spreads[extreme].error ** 2) / 2)
    return Response(
        steps,
        rho,
        rho_low,
        rho_high,
        direction,
        None if first is None else strengths[first],
        _saturated(ladder, strengths, change) if direction else None,
        _turned(ladder, strengths, change, resampled_change, level, design) if direction > 0 else None,
        float(change[extreme]),
        float(change[extreme] / unit) if math.isfinite(unit) and unit > 0 else None,
    )


def _paired(
    conditions: Sequence[Condition], values: np.ndarray, resampled: np.ndarray, k: int, design: Design, most: int
) -> tuple[float, np.ndarray]:
    """Difference to the perfect outputs, of the images that can be scored in both, and the same for every resample."""
    perfect, faulty = conditions[0], conditions[k]
    if np.array_equal(perfect.scored_outputs, faulty.scored_outputs):
        return float(values[k] - values[0]), resampled[k] - resampled[0]
    both = perfect.scored_outputs & faulty.scored_outputs
    perfect, faulty = perfect.among(both), faulty.among(both)
    everything = np.arange(len(design))
    differences = design.resample(lambda index: faulty(index) - perfect(index), most)
    return faulty(everything) - perfect(everything), differences


def _spread(design: Design, resampled: np.ndarray) -> Spread:
    """Standard error from values over resamples; infinite where none can be had."""
    try:
        return design.spread(resampled)
    except NotScorable:
        return Spread(math.inf, 1.0)


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
    ladder: np.ndarray, strengths: Sequence[float], bad: np.ndarray, resampled: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """Spearman's correlation over the strengths that count, and its percentile interval; None for fewer than three."""
    if len(ladder) < 3:
        return None, None, None
    grown = np.array(strengths)[ladder]
    rho = spearman(grown, bad[ladder])
    again = [spearman(grown, column) for column in resampled[ladder].T if np.isfinite(column).all()]
    if len(again) < max(2, resampled.shape[1] / 2):
        return rho, None, None
    low, high = np.quantile(again, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return rho, float(low), float(high)


def spearman(strength: np.ndarray, bad: np.ndarray) -> float:
    """Spearman's rank correlation with mean ranks for ties; 0 where nothing changes. Rounding is a tie."""
    from scipy.stats import rankdata  # slow to import

    scale = np.abs(bad).max()
    ranks = rankdata(np.round(bad / scale, 9) if scale else bad)
    if np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(strength), ranks)[0, 1])


def _bounds(value: float, spread: Spread) -> tuple[float | None, float | None, float | None]:
    """A value and its interval; None for what is not known."""
    if not math.isfinite(value):
        return None, None, None
    return float(value), *(spread.interval(float(value)) if math.isfinite(spread.error) else (None, None))


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
    design: Design,
) -> float | None:
    """Where the largest fall that is more than chance, and a tenth of the range, begins."""
    largest, turn = 0.0, None
    reach = np.ptp(change[ladder])
    for place, i in enumerate(ladder):
        for j in ladder[place + 1 :]:
            fall = float(change[i] - change[j])
            chance = _spread(design, resampled[i] - resampled[j]).margin(level / len(ladder))
            if fall > max(NEGLIGIBLE * reach, chance, largest):
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
