"""The answer in words: only what paired differences carry, those of one sentence corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence

from fsbench.compare import NAMED, UNKNOWN, PairedComparison, between, detectable, listed, size_of, unit_of
from fsbench.numbers import number
from fsbench.report.ranking import ENOUGH, disputed, place
from fsbench.report.run import NOTHING_SWAPPED, Column, RunContents, Scored
from fsbench.report.tables import interval, ordered
from fsbench.results import ModelRecord, failure_rate
from fsbench.stats.ranking import ENOUGH_ANSWERED, answered

_BLIND = "No judge of this run can tell the real people apart: nothing is said of whose face the outputs show."


def sentences(run: RunContents) -> list[str]:
    """Return a few sentences, the most important first."""
    if not run.contestants:
        return ["No model was trained or loaded in this run: it holds baselines only."]
    if not run.columns:
        return ["Nothing was measured in this run."]
    blind = [_BLIND] if run.judges and len(run.result.unfit) == len(run.judges) else []
    column = next((column for column in run.columns if column.judge not in run.result.unfit), None)
    if column is None:
        return blind
    entries = run.scored([model for model in ordered(run) if model in run.contestants], column)
    silent = [model for model in run.contestants if all(entry.model != model for entry in entries)]
    lines = _between(run, entries, column) + [_reached(run, entry, column) for entry in entries[:NAMED]]
    failing = [model for model in run.contestants if model.failures]
    return (
        blind
        + _ranked(run)
        + lines
        + [_not_scored(run, model, column) for model in silent[:NAMED]]
        + [_failed(run, model, column) for model in failing[:NAMED]]
        + [f"{n} more model{'s' if n > 1 else ''} failed on some pairs." for n in [len(failing) - NAMED] if n > 0]
    )


def _ranked(run: RunContents) -> list[str]:
    """Who stands first over all judges that count, and about whom these disagree; nothing for a single judge."""
    record = run.result.ranking
    placed = [rank for rank in record.ranks if rank.mean is not None]
    if len(record.judges) < ENOUGH or len(placed) < ENOUGH:
        return []
    first = [rank.model for rank in placed if rank.mean == placed[0].mean]
    sentence = f"{listed(first)} {'stand' if len(first) > 1 else 'stands'} first by {record.metric}: "
    sentence += f"mean rank {place(placed[0].mean)} over {len(record.judges)} judges{_caveat(run, first)}."
    doubtful = [rank.model for rank in placed if disputed(rank, record.judges)]
    if not doubtful:
        return [f"{sentence} They agree on every rank."]
    if len(first) == 1 and first[0] not in doubtful:
        return [f"{sentence} All place it first; they disagree about {listed(doubtful)}."]
    return [f"{sentence} They disagree about {listed(doubtful)}: read the ranks side by side."]


def _caveat(run: RunContents, first: list[str]) -> str:
    """From whom those who stand first do not detectably differ, or who is better, and under which judges; or ""."""
    asked = [
        (leader, entry.model.name, column)
        for column in run.columns
        if column.metric.name == run.result.ranking.metric
        and column.judge in run.result.ranking.judges
        and column.stage == run.result.protocol.stage
        for leader in first
        for entry in run.scored(run.contestants, column)
        if entry.model.name not in first
    ]
    doubts: dict[str, dict[str | None, None]] = {}  # of one rival -> judges
    for (_, rival, column), comparison in zip(asked, run.compare(asked), strict=True):
        if comparison.relation in ("unclear", "worse"):
            doubt = (
                f"no difference to {rival} is detectable" if comparison.relation == "unclear" else f"{rival} is better"
            )
            doubts.setdefault(doubt, {})[column.judge] = None
    clauses = [f"{doubt} under {' and '.join(map(str, judges))}" for doubt, judges in doubts.items()]
    more = f" and {len(clauses) - NAMED} more are like that" if len(clauses) > NAMED else ""
    return f", though {'; '.join(clauses[:NAMED])}{more}" if clauses else ""


def shown(entry: Scored, column: Column) -> str:
    """Print a value with its unit and interval."""
    digits = column.metric.digits
    return f"{number(entry.value, digits)}{unit_of(column.metric)} {interval(entry.record, digits)}".strip()


def _reached(run: RunContents, entry: Scored, column: Column) -> str:
    under = f" under {column.judge}" if column.judge else ""
    sentence = f"{entry.model.name} reaches {column.metric.name} {shown(entry, column)}{under}"
    if entry.record.n_scored < entry.record.n_total:
        counted = entry.record.n_scored + entry.record.n_failed
        sentence += f", over {counted} of {entry.record.n_total} pairs"
        n_failed = entry.record.n_failed
        sentence += f", {n_failed} of them {'failures' if n_failed > 1 else 'a failure'}" if n_failed else ""
    marks = [(model, "the ceiling") for model in run.result.models if model.kind == "ceiling"]
    marks += [(model, "where nothing is swapped") for model in run.result.models if model.name == NOTHING_SWAPPED]
    scored = [(mark, role) for model, role in marks for mark in run.scored([model], column)]
    elsewhere = [
        (other, own, mark)
        for other in run.columns
        if other.metric.name == column.metric.name
        and other.judge not in (column.judge, *run.result.unfit)
        and other.stage == column.stage
        for own in run.scored([entry.model], other)
        for mark in run.scored([model for model in run.result.models if model.name == NOTHING_SWAPPED], other)
    ]
    asked = [(entry.model.name, mark.model.name, column) for mark, _ in scored]
    asked += [(entry.model.name, mark.model.name, other) for other, _, mark in elsewhere]
    compared = run.compare(asked)
    beside = [
        _relation(comparison, column, f"{mark.model.name}, {role}", shown(mark, column))
        for comparison, (mark, role) in zip(compared, scored, strict=False)
    ]
    sentence += (": " if beside else "") + "; ".join(beside) + "."
    return sentence + _elsewhere(elsewhere, compared[len(scored) :]) + _of_metrics(run, entry.model, column)


def _relation(comparison: PairedComparison, column: Column, other: str, value: str) -> str:
    """Say how a model stands to another one, and what that has."""
    if comparison.relation == "unknown":
        return f"{other}, has {value}"
    if comparison.relation == "unclear":
        least = detectable(comparison, column.metric)
        return f"not detectably different{f', where {least} would be seen,' if least else ''} from {other} ({value})"
    return f"{comparison.relation} by {size_of(comparison, column.metric)} than {other} ({value})"


def _elsewhere(columns: Sequence[tuple[Column, Scored, Scored]], compared: Sequence[PairedComparison]) -> str:
    """Compare a model with nothing swapped under the other judges, in a sentence; "" where there are none."""
    words = {"better": "better than", "worse": "worse than", "unclear": "not detectably different from"}
    relations: dict[str, list[str]] = {}
    for (other, own, mark), comparison in zip(columns, compared, strict=True):
        values = (number(scored.value, other.metric.digits) for scored in (own, mark))
        relation = words.get(comparison.relation, "not called better or worse than")
        relations.setdefault(relation, []).append(f"{other.judge} ({' against '.join(values)})")
    clauses = [f"{relation} {NOTHING_SWAPPED} under {' and '.join(judges)}" for relation, judges in relations.items()]
    return f" It is {'; '.join(clauses)}." if clauses else ""


def _of_metrics(run: RunContents, model: ModelRecord, column: Column) -> str:
    """The sentences that metrics themselves have for the verdict, of values under the same judge or without one."""
    sentences = []
    for other in run.columns:
        if other.metric.verdict and other.judge in (column.judge, None) and other.stage == column.stage:
            for entry in run.scored([model], other):
                value = f"{number(entry.value, other.metric.digits)}\N{NO-BREAK SPACE}{other.metric.unit}".strip()
                sentences.append(f" {other.metric.verdict.replace('{value}', value)}.")
    return "".join(sentences)


def _failed(run: RunContents, model: ModelRecord, column: Column) -> str:
    """How often a model failed, and what follows."""
    sentence = f"{model.name} {failure_rate(model.failures, run.result.protocol.n_pairs)}"
    record = run.value(model.name, column)
    if record is not None and record.value is not None and answered(record) < ENOUGH_ANSWERED:
        sentence += f"; with less than {100 * ENOUGH_ANSWERED:.0f}\N{NO-BREAK SPACE}% scored, it is not called better"
    return f"{sentence}."


def _not_scored(run: RunContents, model: ModelRecord, column: Column) -> str:
    if model.error:
        return f"{model.name} failed: {model.error}."
    record = run.value(model.name, column)
    reason = "it was not measured" if record is None else record.reason or "no reason given"
    return f"{model.name} has no {column.metric.name}: {reason}."


def _between(run: RunContents, entries: list[Scored], column: Column) -> list[str]:
    """The best contestant beside the others."""
    if not run.knows_differences and len(run.scored(run.result.models, column)) > 1:
        return [f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}."]
    first = entries[0].model.name if entries else ""
    compared = run.compare([(first, rival.model.name, column) for rival in entries[1:]])
    said = between(first, compared, column.metric)
    under = f" under {column.judge}" if column.judge else ""
    return [f"Between the contestants, {said} (by {column.metric.name}{under})."] if said else []
