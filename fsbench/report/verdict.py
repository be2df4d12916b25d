"""The answer in words: only what the intervals carry."""

from __future__ import annotations

from fsbench.report.run import NOTHING_SWAPPED, Column, Run
from fsbench.report.tables import compare, interval, number, ranked
from fsbench.results import ModelRecord, Value

NEARER = "id_nearer_source"


def verdict(run: Run) -> list[str]:
    """Return a few sentences, the most important first."""
    if not run.contestants:
        return ["No model was trained or loaded in this run: it holds baselines only."]
    if not run.columns:
        return ["Nothing was measured in this run."]
    column = run.columns[0]
    entries = ranked(run, run.contestants, column)
    scored = [model.name for model, _ in entries]
    lines = [_reached(run, model, value, column) for model, value in entries]
    lines += [_not_scored(run, model, column) for model in run.contestants if model.name not in scored]
    return [*lines, *_between(entries, column)]


def shown(value: Value, column: Column) -> str:
    """Print a value with its interval and unit."""
    unit = f" {column.metric.unit}" if column.metric.unit else ""
    parts = (number(value.value or 0.0, column.metric.digits) + unit, interval(value, column.metric.digits))
    return " ".join(filter(None, parts))


def _reached(run: Run, model: ModelRecord, value: Value, column: Column) -> str:
    under = f" under {column.judge}" if column.judge else ""
    sentence = f"{model.name} reaches {column.metric.name} {shown(value, column)}{under}"
    marks = [(other, "the ceiling") for other in run.result.models if other.kind == "ceiling"]
    marks += [(other, "where nothing is swapped") for other in run.result.models if other.name == NOTHING_SWAPPED]
    comparisons = []
    for other, role in marks:
        mark = run.value(other.name, column)
        if mark is not None and mark.value is not None:
            relation = compare(value, mark, column) or "beside"
            comparisons.append(f"{relation} {other.name}, {role} ({shown(mark, column)})")
    return sentence + (": " + "; ".join(comparisons) if comparisons else "") + "." + _nearer(run, model, column)


def _nearer(run: Run, model: ModelRecord, column: Column) -> str:
    """A sentence with the share of swaps that happened, where it was measured under the same judge."""
    for other in run.columns:
        value = run.value(model.name, other)
        if other.metric.name == NEARER and other.judge == column.judge and value is not None and value.value is not None:
            return f" {number(value.value, other.metric.digits)} % of its outputs are nearer to the source than to the target."
    return ""


def _not_scored(run: Run, model: ModelRecord, column: Column) -> str:
    value = run.value(model.name, column)
    reason = value.reason if value is not None else "it was not measured"
    return f"{model.name} has no {column.metric.name}: {reason or 'no reason given'}."


def _between(entries: list[tuple[ModelRecord, Value]], column: Column) -> list[str]:
    """The best contestant beside the others."""
    if len(entries) < 2:
        return []
    (best, value), others = entries[0], entries[1:]
    relations: dict[str, list[str]] = {}
    for model, other in others:
        relations.setdefault(compare(value, other, column), []).append(model.name)
    said = [f"{relation} {', '.join(names)}" for relation, names in relations.items() if relation]
    unsaid = f" Without intervals nothing is said about {', '.join(relations[''])}." if "" in relations else ""
    return [f"Between the contestants, {best.name} is {' and '.join(said)}.{unsaid}" if said else unsaid.strip()]
