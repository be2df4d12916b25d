"""`fsbench show`: the numbers of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from fsbench.results import MetricRecord, RankingRecord, RunResult, Value


def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out directory of a run.")],
    model: Annotated[str | None, typer.Option(help="One model only.")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric only.")] = None,
    judge: Annotated[str | None, typer.Option(help="One judge only; metrics that need none are left out.")] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="A list of values, or one object where --model, --metric and --judge leave one."),
    ] = False,
) -> None:
    """Print the values of a run with their intervals.

    For example:

      fsbench show DIR --metric id_similarity

      fsbench show DIR --model gan_mask --metric id_similarity --judge dlib_resnet --json
    """
    from fsbench import results
    from fsbench.errors import UnknownName, UsageError

    result = results.load(folder)
    for kind, name, known in (
        ("model in this run:", model, [m.name for m in result.models]),
        ("metric in this run:", metric, [m.name for m in result.metrics]),
        ("judge in this run:", judge, [j.name for j in result.judges]),
    ):
        if name is not None and name not in known:
            raise UnknownName(kind, name, known)
    values = [value for value in result.find(model, metric) if judge in (None, value.judge)]
    if not values:
        raise UsageError(f"{metric} is no metric of {judge}", "leave --judge out: no judge is needed for it")
    if as_json:
        fields = {"model", "metric", "value", "low", "high", "n_scored", "n_total"}
        fields |= {"judge"} if len(result.judges) > 1 else set()
        said = [value.model_dump(include=fields) for value in values]
        single = model is not None and metric is not None and len(said) == 1
        typer.echo(json.dumps(said[0] if single else said, indent=1))
    else:
        print_values(result, values)


def print_values(result: RunResult, values: Sequence[Value]) -> None:
    """Print a table for what needs no judge and one for each judge, a row per metric and a column per model."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    facts = {record.name: record for record in result.metrics}
    models = list(dict.fromkeys(value.model for value in values))
    for judge in dict.fromkeys(value.judge for value in values):
        mine = [value for value in values if value.judge == judge]
        _print_table(console, f"judge: {judge}" if judge else "", mine, models, facts)
    _print_ranking(console, result.ranking)
    for warning in result.warnings:
        console.print(f"[yellow]![/yellow] {escape(warning)}", highlight=False)


def print_summary(result: RunResult) -> None:
    """Print what a run ends with: what needs no judge, and the metric of the ranking."""
    known = {value.judge for value in result.values} - {None}
    print_values(result, [
        value for value in result.values
        if value.judge is None or value.metric == result.ranking.metric or len(known) == 1
    ])


def _print_table(
    console: Console, title: str, values: Sequence[Value], models: Sequence[str], facts: Mapping[str, MetricRecord]
) -> None:
    """Print in as many tables as the terminal is too narrow for; what nobody could score is a sentence."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    cells = {(value.metric, value.model): cell(value, facts[value.metric].digits) for value in values}
    names = list(dict.fromkeys(value.metric for value in values))
    reasons = {name: {v.reason for v in values if v.metric == name and v.value is None} for name in names
               if all(v.value is None for v in values if v.metric == name)}
    rows = [name for name in names if name not in reasons]
    headings = {name: _heading(facts[name]) for name in rows}
    first = max(map(len, [*headings.values(), title]), default=0) + 2
    widths = {model: max([len(model), *(len(cells.get((name, model), "")) for name in rows)]) + 2 for model in models}
    left = list(models) if rows else []
    while left:
        room, now = console.width - first, left[:1]
        while len(now) < len(left) and sum(widths[name] for name in left[: len(now) + 1]) <= room:
            now = left[: len(now) + 1]
        left = left[len(now) :]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(Text(title), no_wrap=True)
        for model in now:
            table.add_column(Text(model), justify="right", no_wrap=True)
        for name in rows:
            table.add_row(headings[name], *(Text(cells.get((name, model), "")) for model in now))
        console.print(table)
        console.print()
    for name, why in reasons.items():
        console.print(f"{name} could not be scored: {escape('; '.join(sorted(why)))}", highlight=False)
    if reasons:
        console.print()


def _print_ranking(console: Console, ranking: RankingRecord) -> None:
    from rich.markup import escape

    if not ranking.ranks:
        return
    if ranking.judges and len(ranking.ranks) > 1:
        places = ", ".join(f"{one.model} {'not ranked' if one.mean is None else f'{one.mean:.3g}'}"
                           for one in ranking.ranks)
        judges = f"{len(ranking.judges)} judge{'s' if len(ranking.judges) > 1 else ''}"
        console.print(escape(f"mean rank by {ranking.metric} over {judges} ({', '.join(ranking.judges)}): {places}"),
                      highlight=False)
    for judge, why in ranking.left_out.items():
        console.print(escape(f"{judge} is left out of the ranks: {why}"), highlight=False)
    if ranking.advice:
        console.print(f"[yellow]![/yellow] {escape(ranking.advice)}", highlight=False)


def _heading(metric: MetricRecord) -> str:
    return f"{metric.name} {'↑' if metric.direction == 'higher' else '↓'} {metric.unit}".rstrip()


def cell(value: Value, digits: int) -> str:
    """Write a value with its interval, and its counts where not all could be scored."""
    if value.value is None:
        return "not scored"
    interval = "" if value.low is None or value.high is None else f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    counts = "" if value.n_scored == value.n_total else f" {value.n_scored}/{value.n_total}"
    return f"{value.value:.{digits}f}{interval}{counts}"
