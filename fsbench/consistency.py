"""Whether the records of a result agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsbench.results import DifferenceRecord, RankingRecord, RunResult, Value

Names = dict[str, set[str]]
"""Names that have a record, by kind."""


def contradictions(result: RunResult) -> Iterator[str]:
    """Say what does not fit together in a result, each in words without a subject of their own."""
    names: Names = {}
    for kind, records in (("model", result.models), ("metric", result.metrics), ("judge", result.judges)):
        listed = [record.name for record in records]
        names[kind] = set(listed)
        yield from (f"{kind} {name!r} is recorded twice" for name in sorted(names[kind]) if listed.count(name) > 1)
    places = set()
    for value in result.values:
        where = f"the value of {value.metric} of {value.model}" + (f" under {value.judge}" if value.judge else "")
        yield from (f"{where} {problem}" for problem in _in_value(value, names))
        if (place := (value.model, *value.key, value.set)) in places:
            yield f"{where} stands twice"
        places.add(place)
    compared = set()
    for record in result.differences:
        where = f"the difference of {record.model} and {record.other} by {record.metric}"
        where += f" under {record.judge}" if record.judge else ""
        yield from (f"{where} {problem}" for problem in _in_difference(record, names))
        if (pair := (frozenset((record.model, record.other)), *record.key)) in compared:
            yield f"{where} stands twice"
        compared.add(pair)
    for model in result.models:
        if sum(model.failures.values()) > result.protocol.n_pairs:
            yield f"{model.name} failed on more pairs than there are"
    yield from _in_ranking(result.ranking, names)


def _in_value(value: Value, names: Names) -> Iterator[str]:
    for kind, name in (("model", value.model), ("metric", value.metric), ("judge", value.judge)):
        if name is not None and name not in names[kind]:
            yield f"is of a {kind} without a record"
    if value.n_scored + value.n_failed > value.n_total:
        yield "counts more pairs than there are"
    if (value.low is None) != (value.high is None):
        yield "has half an interval"
    if value.low is not None and value.high is not None and value.low > value.high:
        yield "has an interval that ends before it begins"
    if value.value is None and not value.reason:
        yield "is null without a reason"


def _in_difference(record: DifferenceRecord, names: Names) -> Iterator[str]:
    for kind, name in (
        ("model", record.model),
        ("model", record.other),
        ("metric", record.metric),
        ("judge", record.judge),
    ):
        if name is not None and name not in names[kind]:
            yield f"is of a {kind} without a record"
    if record.model == record.other:
        yield "is of a model with itself"
    numbers = (record.effect, record.low, record.high, record.p)
    if len({number is None for number in numbers}) > 1:
        yield "has some of its numbers only"
    if record.effect is None and not record.reason:
        yield "is null without a reason"
    if record.low is not None and record.high is not None and record.low > record.high:
        yield "has an interval that ends before it begins"


def _in_ranking(ranking: RankingRecord, names: Names) -> Iterator[str]:
    models = [rank.model for rank in ranking.ranks]
    if len(set(models)) < len(models) or not names["model"].issuperset(models):
        yield "the ranks are of models that stand twice, or without a record"
    judges = [*ranking.judges, *ranking.left_out, *(name for rank in ranking.ranks for name in rank.by_judge)]
    if not names["judge"].issuperset(judges):
        yield "the ranks are by judges without a record"
