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
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of values, or one object where --model and --metric leave one.")
    ] = False,
) -> None:
    """Print the values of a run with their intervals.

    For example:

      fsbench show DIR --model gan_mask --metric id_similarity --json
    """
    from fsbench import results
    from fsbench.errors import UnknownName

    result = results.load(folder)
    for kind, name, known in (
        ("model in this run:", model, [m.name for m in result.models]),
        ("metric in this run:", metric, [m.name for m in result.metrics]),
    ):
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
    """Print one row per model and one column per metric and judge, in as many tables as the terminal asks for."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console()
    values = result.find(model, metric)
    facts = {record.name: record for record in result.metrics}
    cells = {(value.model, value.metric, value.judge): cell(value, facts[value.metric].digits) for value in values}
    columns, unscored = [], {}
    for name, judge in dict.fromkeys((value.metric, value.judge) for value in values):
        mine = [value for value in values if (value.metric, value.judge) == (name, judge)]
        if all(value.value is None for value in mine):
            unscored[name] = mine[0].reason
            continue
        heading = f"{name} {'↑' if facts[name].direction == 'higher' else '↓'} {facts[name].unit}".rstrip()
        heading += f"\n{judge}" if len(result.judges) > 1 and judge else ""
        texts = [cells.get((record.name, name, judge), "") for record in result.models]
        columns.append((heading, texts, max(map(len, [*heading.split("\n"), *texts])) + 2))
    shown = [i for i, record in enumerate(result.models) if model in (None, record.name)]
    first = max(len(record.name) for record in result.models) + 2
    while columns:
        room, count = console.width - first, 0
        while count < len(columns) and (count == 0 or columns[count][2] <= room):
            room -= columns[count][2]
            count += 1
        now, columns = columns[:count], columns[count:]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("model", no_wrap=True)
        for heading, _, _ in now:
            table.add_column(heading, justify="right", no_wrap=True)
        for i in shown:
            table.add_row(*map(Text, (result.models[i].name, *(texts[i] for _, texts, _ in now))))
        console.print(table)
        console.print()
    for name, reason in unscored.items():
        console.print(f"{name} could not be scored: {escape(reason)}", highlight=False)
    for warning in result.warnings:
        console.print(f"[yellow]![/yellow] {escape(warning)}", highlight=False)


def cell(value: Value, digits: int) -> str:
    """Write a value with its interval, and its counts where not all could be scored."""
    if value.value is None:
        return "not scored"
    interval = "" if value.low is None or value.high is None else f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    counts = "" if value.n_scored == value.n_total else f" {value.n_scored}/{value.n_total}"
    return f"{value.value:.{digits}f}{interval}{counts}"
