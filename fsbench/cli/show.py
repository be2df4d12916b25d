"""`fsbench show`: the numbers of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fsbench.results import RunResult, Value


def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out directory of a run.")],
    model: Annotated[str | None, typer.Option(help="One model only.")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of values, or one object where --model and --metric leave one.")] = False,
) -> None:
    """Print the values of a run with their intervals.

    Examples:

      fsbench show reports/synthetic-20260101-120000

      fsbench show DIR --model gan_mask --metric id_similarity --json
    """
    from fsbench import results
    from fsbench.errors import UnknownName

    result = results.load(folder)
    for kind, name, known in (("model in this run:", model, [m.name for m in result.models]),
                              ("metric in this run:", metric, [m.name for m in result.metrics])):
        if name is not None and name not in known:
            raise UnknownName(kind, name, known)
    values = result.find(model, metric)
    if as_json:
        said = [_object(value) for value in values]
        single = model is not None and metric is not None and len(said) == 1
        typer.echo(json.dumps(said[0] if single else said, indent=1))
    else:
        print_table(result, model, metric)


def _object(value: Value) -> dict[str, object]:
    return value.model_dump(include={"model", "metric", "value", "low", "high", "n_scored", "n_total"})


def print_table(result: RunResult, model: str | None = None, metric: str | None = None) -> None:
    """Print one row per model and one column per metric and judge."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=False)
    values = result.find(model, metric)
    columns = list(dict.fromkeys((value.metric, value.judge) for value in values))
    facts = {record.name: record for record in result.metrics}
    several = len(result.judges) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    for name, judge in columns:
        fact = facts[name]
        heading = f"{name} {'↑' if fact.direction == 'higher' else '↓'}{' ' + fact.unit if fact.unit else ''}"
        table.add_column(heading + (f"\n{judge}" if several and judge else ""), justify="right")
    cells = {(value.model, value.metric, value.judge): value for value in values}
    for record in result.models:
        if model in (None, record.name):
            row = [cells.get((record.name, *column)) for column in columns]
            table.add_row(record.name, *(cell(value, facts[value.metric].digits) if value else "" for value in row))
    console.print(table)
    for warning in result.warnings:
        console.print(f"[yellow]![/yellow] {warning}", highlight=False)


def cell(value: Value, digits: int) -> str:
    """Write a value with its interval, and its counts where not all could be scored."""
    if value.value is None:
        return "not scored"
    interval = "" if value.low is None or value.high is None else f"\n{value.low:.{digits}f} to {value.high:.{digits}f}"
    counts = "" if value.n_scored == value.n_total else f"\n{value.n_scored} of {value.n_total}"
    return f"{value.value:.{digits}f}{interval}{counts}"
