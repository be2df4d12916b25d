"""The answer in words: only what the intervals carry."""

from __future__ import annotations

from fsbench.report.ranking import ENOUGH, disputed, place
from fsbench.report.run import NOTHING_SWAPPED, Column, Run, Scored
from fsbench.report.tables import UNCLEAR, compare, interval, number, ordered
from fsbench.results import ModelRecord, failure_rate
from fsbench.stats.ranking import ENOUGH_ANSWERED, answered

_BLIND = "No judge of this run can tell the real people apart: nothing is said of whose face the outputs show."
NAMED = 3  # contestants that are named before the rest is counted


def sentences(run: Run) -> list[str]:
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
    lines = [_reached(run, entry, column) for entry in entries[:NAMED]] + _between(entries, column)
    failing = [model for model in run.contestants if model.failures]
    return (
        blind
        + _ranked(run)
        + lines
        + [_not_scored(run, model, column) for model in silent[:NAMED]]
        + [_failed(run, model, column) for model in failing[:NAMED]]
        + [f"{n} more model{'s' if n > 1 else ''} failed on some pairs." for n in [len(failing) - NAMED] if n > 0]
    )


def _ranked(run: Run) -> list[str]:
    """Who stands first over all judges that count, and about whom these disagree; nothing for a single judge."""
    record = run.result.ranking
    placed = [rank for rank in record.ranks if rank.mean is not None]
    if len(record.judges) < ENOUGH or len(placed) < ENOUGH:
        return []
    first = [rank.model for rank in placed if rank.mean == placed[0].mean]
    sentence = f"{_names(first)} {'stand' if len(first) > 1 else 'stands'} first by {record.metric}: "
    sentence += f"mean rank {place(placed[0].mean)} over {len(record.judges)} judges{_overlaps(run, first)}."
    doubtful = [rank.model for rank in placed if disputed(rank, record.judges)]
    if not doubtful:
        return [f"{sentence} They agree on every rank."]
    if len(first) == 1 and first[0] not in doubtful:
        return [f"{sentence} All place it first; they disagree about {_names(doubtful)}."]
    return [f"{sentence} They disagree about {_names(doubtful)}: read the ranks side by side."]


def _overlaps(run: Run, first: list[str]) -> str:
    """With whose intervals theirs overlap who stand first, and under which judges; "" where none does."""
    overlaps: dict[str, list[str]] = {}  # names of rivals -> judges
    for column in run.columns:
        if column.metric.name != run.result.ranking.metric or column.judge not in run.result.ranking.judges:
            continue
        entries = run.scored(run.contestants, column)
        leaders = [entry.record for entry in entries if entry.model.name in first]
        rivals = [
            entry.model.name
            for entry in entries
            if entry.model.name not in first
            and any(compare(leader, entry.record, column) == UNCLEAR for leader in leaders)
        ]
        if rivals:
            overlaps.setdefault(_names(rivals), []).append(column.judge)
    whose = "its interval overlaps" if len(first) == 1 else "their intervals overlap"
    clauses = [f"with that of {names} under {' and '.join(judges)}" for names, judges in overlaps.items()]
    return f", though {whose} {'; '.join(clauses)}" if clauses else ""


def shown(entry: Scored, column: Column) -> str:
    """Print a value with its unit and interval."""
    unit = f" {column.metric.unit}" if column.metric.unit else ""
    return f"{number(entry.value, column.metric.digits)}{unit} {interval(entry.record, column.metric.digits)}".strip()


def _reached(run: Run, entry: Scored, column: Column) -> str:
    under = f" under {column.judge}" if column.judge else ""
    sentence = f"{entry.model.name} reaches {column.metric.name} {shown(entry, column)}{under}"
    if entry.record.n_scored < entry.record.n_total:
        counted = entry.record.n_scored + entry.record.n_failed
        sentence += f", over {counted} of {entry.record.n_total} pairs"
        sentence += f" of which {entry.record.n_failed} are failures" if entry.record.n_failed else ""
    marks = [(model, "the ceiling") for model in run.result.models if model.kind == "ceiling"]
    marks += [(model, "where nothing is swapped") for model in run.result.models if model.name == NOTHING_SWAPPED]
    beside = [
        f"{compare(entry.record, mark.record, column) or 'beside'} {model.name}, {role} ({shown(mark, column)})"
        for model, role in marks
        for mark in run.scored([model], column)
    ]
    sentence += (": " if beside else "") + "; ".join(beside) + "."
    return sentence + _elsewhere(run, entry.model, column) + _of_metrics(run, entry.model, column)


def _elsewhere(run: Run, model: ModelRecord, column: Column) -> str:
    """Compare a model with nothing swapped under the other judges, in a sentence; "" where there are none."""
    relations: dict[str, list[str]] = {}
    floor = [mark for mark in run.result.models if mark.name == NOTHING_SWAPPED]
    for other in run.columns:
        if other.metric.name == column.metric.name and other.judge not in (column.judge, *run.result.unfit):
            for entry in run.scored([model], other):
                for mark in run.scored(floor, other):
                    relation = compare(entry.record, mark.record, other) or "beside"
                    values = (number(scored.value, other.metric.digits) for scored in (entry, mark))
                    relations.setdefault(relation, []).append(f"{other.judge} ({' against '.join(values)})")
    clauses = [f"{relation} {NOTHING_SWAPPED} under {' and '.join(judges)}" for relation, judges in relations.items()]
    return f" It is {'; '.join(clauses)}." if clauses else ""


def _of_metrics(run: Run, model: ModelRecord, column: Column) -> str:
    """The sentences that metrics themselves have for the verdict, of values under the same judge or without one."""
    sentences = []
    for other in run.columns:
        if other.metric.verdict and other.judge in (column.judge, None):
            for entry in run.scored([model], other):
                value = f"{number(entry.value, other.metric.digits)}\N{NO-BREAK SPACE}{other.metric.unit}".strip()
                sentences.append(f" {other.metric.verdict.replace('{value}', value)}.")
    return "".join(sentences)


def _failed(run: Run, model: ModelRecord, column: Column) -> str:
    """How often a model failed, and what follows."""
    sentence = f"{model.name} {failure_rate(model.failures, run.result.protocol.n_pairs)}"
    record = run.value(model.name, column)
    if record is not None and record.value is not None and answered(record) < ENOUGH_ANSWERED:
        sentence += f"; with less than {100 * ENOUGH_ANSWERED:.0f}\N{NO-BREAK SPACE}% scored, it is not called better"
    return f"{sentence}."


def _not_scored(run: Run, model: ModelRecord, column: Column) -> str:
    if model.error:
        return f"{model.name} failed: {model.error}."
    record = run.value(model.name, column)
    reason = "it was not measured" if record is None else record.reason or "no reason given"
    return f"{model.name} has no {column.metric.name}: {reason}."


def _between(entries: list[Scored], column: Column) -> list[str]:
    """The best contestant beside the others, as far as there are intervals."""
    if len(entries) < 2:
        return []
    relations: dict[str, list[str]] = {}
    for entry in entries[1:]:
        relations.setdefault(compare(entries[0].record, entry.record, column), []).append(entry.model.name)
    clauses = [f"{relation} {_names(names)}" for relation, names in relations.items() if relation]
    return [f"Between the contestants, {entries[0].model.name} is {' and '.join(clauses)}."] if clauses else []


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} others"
