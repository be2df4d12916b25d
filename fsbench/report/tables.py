"""Tables of values: a row per model, a column per metric and judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fsbench import validity
from fsbench.numbers import ARROWS, duration, number
from fsbench.report.ranking import Standing, ranking
from fsbench.report.run import NOTHING_SWAPPED, Column, RunContents, Scored
from fsbench.results import ModelRecord, Value, failure_rate
from fsbench.stats.ranking import CONTESTANTS

TRIVIAL = (NOTHING_SWAPPED, "copy_source")
ROOM = 8
"""Metrics without a judge that the summary has room for; of more it shows those with a place in the summary."""

GROUPS = {"Contestants": CONTESTANTS, "Ceiling": ("ceiling",), "Floor": ("floor",), "Baselines": ("baseline",)}


@dataclass(frozen=True)
class IntervalBar:
    """An interval as a drawing: places as percentages of what the values and intervals of a column span."""

    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Cell:
    """A value as printed; `text` is empty where nothing was scored, and `reason` then says why."""

    text: str = ""
    interval: str = ""
    no_interval: str = ""  # why there is none
    counts: str = ""
    reason: str = ""
    caution: str = ""
    value: float | None = None  # by which a column is sorted
    low: float | None = None
    high: float | None = None
    bar: IntervalBar | None = None
    best: bool = False
    coached: bool = False


@dataclass(frozen=True)
class Head:
    """A column's header."""

    column: Column
    arrow: str
    trivial_winner: str  # a baseline that does no work and yet has the best value
    won_by: tuple[str, ...]  # such answers that are no worse than the exact swap, where the truth is known


@dataclass(frozen=True)
class ModelRow:
    """A model and its cells."""

    model: ModelRecord
    facts: tuple[str, ...]
    cells: tuple[Cell, ...]
    standing: Standing | None  # None where it is not ranked
    swapping: Cell  # milliseconds per image
    training: Cell  # seconds


@dataclass(frozen=True)
class ScoreTable:
    """Values in rows whose groups are never mixed."""

    heads: tuple[Head, ...]
    groups: tuple[tuple[str, tuple[ModelRow, ...]], ...]
    unscored: Mapping[str, tuple[Column, ...]]  # reason -> columns left out because no model has a value

    @property
    def trivial(self) -> dict[str, list[Column]]:
        """Columns by the baseline that does no work and yet beats every contestant."""
        columns: dict[str, list[Column]] = {}
        for head in self.heads:
            if head.trivial_winner:
                columns.setdefault(head.trivial_winner, []).append(head.column)
        return columns

    @property
    def won(self) -> dict[str, list[Column]]:
        """Columns by the answer that takes no work and is no worse than the exact swap, where the truth is known."""
        columns: dict[str, list[Column]] = {}
        for head in self.heads:
            for copy in head.won_by:
                columns.setdefault(copy, []).append(head.column)
        return columns

    @property
    def cautions(self) -> tuple[str, ...]:
        """What limits values of this table, each sentence once; cells refer to them by number, from 1."""
        return tuple(
            dict.fromkeys(cell.caution for _, rows in self.groups for row in rows for cell in row.cells if cell.caution)
        )

    @property
    def coached(self) -> bool:
        """Whether any cell was computed with a judge that its model may have been trained to please."""
        return any(cell.coached for _, rows in self.groups for row in rows for cell in row.cells)


def interval(value: Value, digits: int) -> str:
    """Print an interval, or nothing where there is none."""
    if value.low is None or value.high is None:
        return ""
    return f"[{number(value.low, digits)}, {number(value.high, digits)}]"


def is_better(value: float, other: float, column: Column) -> bool:
    """Whether a value is better in the metric's direction."""
    return value > other if column.metric.direction == "higher" else value < other


def ranked(run: RunContents, models: Iterable[ModelRecord], column: Column) -> list[Scored]:
    """Models that have a value, the best first; ties in the order of the result."""
    sign = -1 if column.metric.direction == "higher" else 1
    return sorted(run.scored(models, column), key=lambda entry: sign * entry.value)


def facts_of(model: ModelRecord, n_pairs: int) -> tuple[str, ...]:
    """What stands beside a model's name: size, steps, and how often it failed."""
    facts = [] if model.kind != "loaded" else ["loaded from a file"]
    if model.training is not None:
        size = model.training.settings.get("size")
        facts += [f"size {size}"] if isinstance(size, str) else []
        facts += [f"{model.training.steps:,} steps on {model.training.device}"]
    if model.error:
        facts.append(f"failed: {model.error}")
    if model.failures:
        facts.append(failure_rate(model.failures, n_pairs))
    elif model.n_no_face:
        facts.append(f"no face in {model.n_no_face} output{'s' if model.n_no_face > 1 else ''}")
    return tuple(facts)


def summary(run: RunContents) -> ScoreTable:
    """Build the table that a reader sees first: headline metrics under every judge, then those with a summary rank.

    Of the latter it shows values under the first judge, and without a judge. Forty metrics under three judges would be
    too much to read; `of_group` and `of_judge` have all of them.
    """
    first = run.judges[0].name if run.judges else ""
    headline = [column for column in run.columns if column.metric.headline]
    others = [column for column in run.columns if not column.metric.headline]
    placed = sorted((column for column in others if column.metric.summary_rank),
                    key=lambda column: column.metric.summary_rank)  # fmt: skip
    judged = [column for column in placed if column.judge == first]
    unjudged = [column for column in others if column.judge is None]
    if len(unjudged) > ROOM:
        unjudged = [column for column in placed if column.judge is None]
    return table(run, headline + judged + unjudged)


def of_group(run: RunContents, group: str) -> ScoreTable:
    """Build the table of the metrics of one group, under every judge that they ask."""
    return table(run, [column for column in run.columns if column.metric.group == group])


def of_judge(run: RunContents, judge: str) -> tuple[ScoreTable, ScoreTable]:
    """Build the tables of the identity metrics under one judge: of likeness, and of verification."""
    columns = [column for column in run.columns if column.judge == judge and column.metric.group == "identity"]
    verification = sorted((column for column in columns if column.metric.verification_rank),
                          key=lambda column: column.metric.verification_rank)  # fmt: skip
    return table(run, [column for column in columns if column not in verification]), table(run, verification)


def ordered(run: RunContents) -> list[ModelRecord]:
    """Models group by group, the best first: contestants by their ranks, the others by the first column."""
    best = [rank.model for rank in run.result.ranking.ranks]
    best += [entry.model.name for column in run.columns[:1] for entry in ranked(run, run.result.models, column)]
    in_order = sorted(run.result.models, key=lambda model: best.index(model.name) if model.name in best else len(best))
    return [model for kinds in GROUPS.values() for model in in_order if model.kind in kinds]


def table(run: RunContents, columns: Sequence[Column]) -> ScoreTable:
    """Build a table of some columns; one in which no model has a value becomes a footnote."""
    unscored = _unscored(run, columns)
    columns = [column for column in columns if all(column not in left_out for left_out in unscored.values())]
    winners, spans = _winners(run, columns), [_span(run, column) for column in columns]
    standings = {standing.model: standing for standing in ranking(run).standings}

    def row(model: ModelRecord) -> ModelRow:
        cells = (_cell(run, model, *about) for about in zip(columns, winners, spans, strict=True))
        facts = facts_of(model, run.result.protocol.n_pairs)
        return ModelRow(model, facts, tuple(cells), standings.get(model.name), _swapping(model), _training(model))

    models = ordered(run)
    groups = ((title, tuple(row(model) for model in models if model.kind in kinds)) for title, kinds in GROUPS.items())
    heads = tuple(
        Head(column, ARROWS[column.metric.direction], _trivial_winner(run, column), _won_by(column))
        for column in columns
    )
    return ScoreTable(heads, tuple((title, rows) for title, rows in groups if rows), unscored)


def _unscored(run: RunContents, columns: Sequence[Column]) -> dict[str, tuple[Column, ...]]:
    """Columns in which no model has a value, by the reasons that there are for it."""
    by_reason: dict[str, tuple[Column, ...]] = {}
    for column in columns:
        given = (run.value(model.name, column) for model in run.result.models)
        records = [record for record in given if record is not None]
        if records and all(record.value is None for record in records):
            reason = "; ".join(dict.fromkeys(record.reason or "no reason given" for record in records))
            by_reason[reason] = (*by_reason.get(reason, ()), column)
    return by_reason


def _span(run: RunContents, column: Column) -> tuple[float, float]:
    """The lowest and the highest number of a column, intervals included."""
    records = [entry.record for entry in run.scored(run.result.models, column)]
    ends = [end for record in records for end in (record.low, record.value, record.high) if end is not None]
    return min(ends, default=0.0), max(ends, default=0.0)


def _bar(value: Value, span: tuple[float, float]) -> IntervalBar | None:
    low, high = span
    if value.value is None or value.low is None or value.high is None or low == high:
        return None
    return IntervalBar(*(100 * (end - low) / (high - low) for end in (value.low, value.value, value.high)))


def _swapping(model: ModelRecord) -> Cell:
    if model.swap_seconds is None:
        return Cell(reason="made elsewhere" if model.kind == "precomputed" else "not measured")
    milliseconds = 1000 * model.swap_seconds
    return Cell(number(milliseconds, 1 if milliseconds < 10 else 0), value=milliseconds)


def _training(model: ModelRecord) -> Cell:
    if model.training is None:
        return Cell(reason="made elsewhere" if model.kind in ("loaded", "precomputed") else "needs none")
    return Cell(duration(model.training.seconds), value=model.training.seconds)


def _cell(run: RunContents, model: ModelRecord, column: Column, winner: str, span: tuple[float, float]) -> Cell:
    value = run.value(model.name, column)
    if value is None:
        return Cell(reason="the model failed" if model.error else "not measured")
    counts = counts_of(value, column.metric.digits)
    if value.value is None:
        return Cell(reason=value.reason or "no reason given", counts=counts)
    digits = column.metric.digits
    return Cell(
        number(value.value, digits),
        interval(value, digits),
        value.no_interval,
        counts,
        caution=value.caution,
        value=value.value,
        low=value.low,
        high=value.high,
        bar=_bar(value, span),
        best=model.name == winner,
        coached=_coached(run, model, column.judge),
    )


def counts_of(value: Value, digits: int) -> str:
    """Say how many pairs are in a value, and what it would be without the failures; "" where all were scored."""
    if value.n_scored == value.n_total:
        return ""
    parts = [f"{value.n_failed} of {value.n_total} failed"] if value.n_failed else []
    if value.value_of_scored is not None:
        parts.append(f"{number(value.value_of_scored, digits)} without them")
    if value.n_scored + value.n_failed < value.n_total:
        parts.append(f"{value.n_scored} of {value.n_total} scored")
    return ", ".join(parts)


def _coached(run: RunContents, model: ModelRecord, judge: str | None) -> bool:
    families = {record.family for record in run.result.judges if record.name == judge}
    return not families.isdisjoint(coaches(model))


def coaches(model: ModelRecord) -> tuple[str, ...]:
    """Families of recognisers that a model is known to have been trained against."""
    return tuple(dict.fromkeys((*model.coaches, *(model.training.coaches if model.training is not None else ()))))


def _winners(run: RunContents, columns: Sequence[Column]) -> list[str]:
    """Name the best contestant of each column where it is better than every other one, else "".

    The comparisons of all columns are corrected together. There is no winner under a judge that does not count.
    """
    contests = []
    for column in columns:
        entries = [] if column.judge in run.result.unfit else ranked(run, run.contestants, column)
        contests.append((column, [entry.model.name for entry in entries]))
    return run.winners(contests)


def _won_by(column: Column) -> tuple[str, ...]:
    record = validity.shipped()
    examined = record.metrics if record is not None else ()
    return tuple(
        copy
        for entry in examined
        if (entry.metric.name, entry.judge) == (column.metric.name, column.judge)
        for copy in entry.won_by
    )


def _trivial_winner(run: RunContents, column: Column) -> str:
    """Name of a baseline that does no work and has a better value than every contestant, else ""."""
    contestants = ranked(run, run.contestants, column)
    trivial = ranked(run, (model for model in run.result.models if model.name in TRIVIAL), column)
    if contestants and trivial and is_better(trivial[0].value, contestants[0].value, column):
        return trivial[0].model.name
    return ""
