"""What paired differences say of models: better, worse, or no difference that this run could have seen.

All comparisons of one table or one sentence are corrected together for their number (Holm). Nothing is said where a
result holds no difference: intervals of single values, overlapping or not, decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fsbench.numbers import not_zero, with_interval
from fsbench.record_types import Stage
from fsbench.results import DifferenceRecord, Key, MetricRecord, RunResult, Value
from fsbench.stats.ranking import ENOUGH_ANSWERED, answered
from fsbench.stats.resampling import Spread, holm

ALPHA = 0.05
"""Probability that any of the comparisons of a table or sentence is called a difference where there is none."""

NAMED = 3
"""Models that a sentence names before it counts the others."""

UNKNOWN = "who is better is not known: an older fsbench wrote this result, without paired differences"

Relation = Literal["better", "worse", "unclear", "unknown"]
"""Of a model to another; unclear: no difference is detectable at this size; unknown: there is no difference to read."""


@dataclass(frozen=True)
class Pair:
    """Two models to be compared, by one metric under one judge or without one."""

    model: str
    other: str
    metric: str
    judge: str | None
    stage: Stage = "crop"

    @property
    def key(self) -> Key:
        """What they are compared by."""
        return Key(self.metric, self.judge, self.stage)


@dataclass(frozen=True)
class PairedComparison:
    """What is said of two models."""

    pair: Pair
    relation: Relation
    difference: DifferenceRecord | None  # of the first model less the other; None where it is not known
    p: float | None = None  # corrected
    reason: str = ""  # why it is unknown


class Comparisons:
    """The comparisons that a result allows."""

    def __init__(self, result: RunResult) -> None:
        self.known = bool(result.differences)
        self._directions = {metric.name: metric.direction for metric in result.metrics}
        self._values = {(value.model, value.key): value for value in result.values}
        self._differences = {
            (frozenset((record.model, record.other)), record.key): record for record in result.differences
        }

    def of(self, pairs: Iterable[Pair]) -> list[PairedComparison]:
        """Compare some pairs of models, in their order, corrected together."""
        pairs = list(pairs)
        records = [self._difference(pair) for pair in pairs]
        ps = [record.p for record in records if record is not None and record.p is not None]
        corrected = iter(holm(ps))
        return [
            self._compared(pair, record, next(corrected) if record is not None and record.p is not None else None)
            for pair, record in zip(pairs, records, strict=True)
        ]

    def _difference(self, pair: Pair) -> DifferenceRecord | None:
        record = self._differences.get((frozenset((pair.model, pair.other)), pair.key))
        return record.of(pair.model) if record is not None else None

    def _compared(self, pair: Pair, record: DifferenceRecord | None, p: float | None) -> PairedComparison:
        if record is None:
            reason = "" if self.known else UNKNOWN
            return PairedComparison(pair, "unknown", None, reason=reason)
        if record.effect is None or p is None:
            return PairedComparison(pair, "unknown", record, reason=record.reason)
        if p >= ALPHA:
            return PairedComparison(pair, "unclear", record, p)
        better = (record.effect > 0) == (self._directions[pair.metric] == "higher")
        winner = self._values.get((pair.model if better else pair.other, pair.key))
        if not _enough(winner):
            return PairedComparison(pair, "unknown", record, p, "the better one failed on too many pairs")
        return PairedComparison(pair, "better" if better else "worse", record, p)


def winners(comparisons: Comparisons, contests: Sequence[tuple[Key, Sequence[str]]]) -> list[str]:
    """Name the model of each contest that is better than every other one, else "".

    A contest is what models are compared by, and their names, that of the best value first. The comparisons of all
    contests are corrected together.
    """
    pairs = [Pair(names[0], other, *key) for key, names in contests for other in names[1:]]
    relations = iter([comparison.relation for comparison in comparisons.of(pairs)])
    of_contests = [(names, {next(relations) for _ in names[1:]}) for _, names in contests]
    return [names[0] if relations_of == {"better"} else "" for names, relations_of in of_contests]


def _enough(value: Value | None) -> bool:
    """Whether a model was scored on so many of the pairs that it may be called better."""
    return value is not None and answered(value) >= ENOUGH_ANSWERED


def between(first: str, compared: Sequence[PairedComparison], metric: MetricRecord) -> str:
    """Say how a model stands to others, better, worse or with no difference to be seen; "" for nothing known."""
    seen = [
        f"{comparison.relation} than {comparison.pair.other} by {size_of(comparison, metric)}"
        for comparison in compared
        if comparison.relation in ("better", "worse")
    ]
    more = f" and than {len(seen) - NAMED} more" if len(seen) > NAMED else ""
    clauses = [f"{first} is {' and '.join(seen[:NAMED])}{more}"] if seen else []
    if unclear := [comparison for comparison in compared if comparison.relation == "unclear"]:
        names = listed([comparison.pair.other for comparison in unclear])
        whose = f"to {names}" if seen else f"of {first} to {names}"
        largest = detectable(max(unclear, key=_detectable), metric)
        clauses.append(
            f"no difference {whose} is detectable at this size{f', one of {largest} would be' if largest else ''}"
        )
    if reasons := dict.fromkeys(comparison.reason for comparison in compared if comparison.reason):
        clauses.append(f"nothing is said of {'the others' if clauses else 'differences'}: {', '.join(reasons)}")
    return "; ".join(clauses)


def size_of(comparison: PairedComparison, metric: MetricRecord) -> str:
    """Print by how much a model is better or worse, with its interval; where that is unclear, negative is worse."""
    record = comparison.difference
    assert record is not None
    sign = 1 if (metric.direction == "higher") == (comparison.relation != "worse") else -1
    effect, *ends = (sign * value for value in (record.effect, record.low, record.high) if value is not None)
    low, high = sorted(ends)
    return with_interval(effect, low, high, metric.digits, unit_of(metric))


def corrected(comparisons: Sequence[PairedComparison]) -> list[PairedComparison]:
    """The same with minimum detectable effects that hold for all of them together.

    That of n comparisons is significant at ALPHA / n, which is enough for Holm's correction whatever the others are.
    """
    n = sum(comparison.p is not None for comparison in comparisons)
    return [
        replace(comparison, difference=among(comparison.difference, n)) if comparison.difference else comparison
        for comparison in comparisons
    ]


def among(record: DifferenceRecord, n: int) -> DifferenceRecord:
    """Return a difference with the minimum detectable effect of one among n, which older results do not tell."""
    if not n or not record.detectable or record.low is None or record.high is None:
        return record
    known = record.degrees_of_freedom
    spread = Spread.of_interval(record.low, record.high, known) if known else None
    return record.model_copy(update={"detectable": spread.detectable(ALPHA / n) if spread else None})


def detectable(comparison: PairedComparison, metric: MetricRecord) -> str:
    """Print the smallest difference that a run could have seen, "" where that is not known."""
    size = _detectable(comparison)
    return not_zero(size, metric.digits) + unit_of(metric) if size else ""


def unit_of(metric: MetricRecord) -> str:
    """Print a unit as it stands behind a number, "" for none."""
    return f"\N{NO-BREAK SPACE}{metric.unit}" if metric.unit else ""


def listed(names: Sequence[str]) -> str:
    """Name a few models, and the number of many."""
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} others"


def _detectable(comparison: PairedComparison) -> float:
    return (comparison.difference.detectable if comparison.difference else None) or 0.0
