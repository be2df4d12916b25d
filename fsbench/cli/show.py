"""`fsbench show`: the numbers of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import options, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from fsbench.results import MetricRecord, RankingRecord, RunResult, Value
    from fsbench.suites import ExperimentRecord, SuiteResult


def show(
    folder: options.RunFolder,
    model: Annotated[str | None, typer.Option(help="One model only.")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric only.")] = None,
    judge: Annotated[str | None, typer.Option(help="One judge only; metrics that need none are left out.")] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="A list of values, or one object where --model, --metric and --judge leave one."),
    ] = False,
) -> None:
    """Print the values of a run with their intervals; of a suite of experiments, its questions and answers.

    For example:

      fsbench show DIR --metric id_similarity

      fsbench show DIR --model gan_mask --metric id_similarity --judge dlib_resnet --json
    """
    from fsbench import results, suites
    from fsbench.errors import UnknownName, UsageError

    if results.holds_suite(folder) and not (model or metric or judge):
        suite = suites.load(folder)
        if as_json:
            terminal.print_json(suite.model_dump(mode="json"))
        else:
            print_suite(suite)
        return
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
        facts = [_facts(value, with_judge=len(result.judges) > 1) for value in values]
        single = model is not None and metric is not None and len(facts) == 1
        terminal.print_json(facts[0] if single else facts)
    else:
        print_all(result, values)


def _facts(value: Value, with_judge: bool) -> dict[str, object]:
    """What a script needs of a value: its numbers and counts, and remarks where there are any."""
    always = {"model", "metric", "value", "low", "high", "n_scored", "n_total"} | ({"judge"} if with_judge else set())
    where_set = {"reason", "n_failed", "value_of_scored", "caution", "resampled", "set", "stage"}
    return {
        name: fact
        for name, fact in value.model_dump(include=always | where_set).items()
        if name in always or fact != type(value).model_fields[name].default
    }


def print_all(result: RunResult, values: Sequence[Value]) -> None:
    """Print tables of values, the ranks and all warnings."""
    target = terminal.console()
    print_values(target, result, values)
    print_ranking(target, result.ranking)
    print_differences(target, result)
    for warning in result.warnings:
        terminal.warn(target, warning)


def print_suite(result: SuiteResult) -> None:
    """Print the questions and answers of all experiments."""
    for number, experiment in enumerate(result.experiments, 1):
        terminal.line(f"{number}. {experiment.title} ({experiment.folder})")
        print_experiment(experiment)


def print_experiment(experiment: ExperimentRecord) -> None:
    """Print the question and the answers of one experiment."""
    if experiment.question:
        terminal.line(experiment.question)
    for answer in experiment.answers:
        terminal.line(f"  {answer}")
    if not experiment.finished:
        terminal.line(f"  failed: {experiment.error}" if experiment.error else "  not run yet")


def print_values(target: Console, result: RunResult, values: Sequence[Value]) -> None:
    """Print a table for what needs no judge and one for each judge, a row per metric and a column per model."""
    facts = {record.name: record for record in result.metrics}
    models = list(dict.fromkeys(value.model for value in values))
    for judge, stage in dict.fromkeys((value.judge, value.stage) for value in values):
        mine = [value for value in values if (value.judge, value.stage) == (judge, stage)]
        titles = [f"judge: {judge}"] * bool(judge) + ["stage: frame"] * (stage == "frame")
        own = [model for model in models if any(value.model == model for value in mine)]
        _print_table(target, ", ".join(titles), mine, own, facts)


def _print_table(
    target: Console, title: str, values: Sequence[Value], models: Sequence[str], facts: Mapping[str, MetricRecord]
) -> None:
    """Print in as many tables as the terminal is too narrow for; what nobody could score is a sentence."""
    from rich.table import Table

    cells = {(value.metric, value.model): cell(value, facts[value.metric].digits) for value in values}
    names = list(dict.fromkeys(value.metric for value in values))
    reasons = {
        name: {v.reason for v in values if v.metric == name and v.value is None}
        for name in names
        if all(v.value is None for v in values if v.metric == name)
    }
    rows = [name for name in names if name not in reasons]
    headings = {name: _heading(facts[name]) for name in rows}
    first = max(map(len, [*headings.values(), title]), default=0) + 2
    widths = {model: max([terminal.cell(model).cell_len, *(len(cells.get((name, model), "")) for name in rows)]) + 2
              for model in models}  # fmt: skip
    left = list(models) if rows else []
    while left:
        room, now = target.width - first, left[:1]
        while len(now) < len(left) and sum(widths[name] for name in left[: len(now) + 1]) <= room:
            now = left[: len(now) + 1]
        left = left[len(now) :]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(terminal.cell(title), no_wrap=True)
        for model in now:
            table.add_column(terminal.cell(model), justify="right", overflow="fold")
        for name in rows:
            row = [headings[name], *(cells.get((name, model), "") for model in now)]
            table.add_row(*map(terminal.cell, row))
        target.print(table)
        target.print()
    for name, why in reasons.items():
        target.print(terminal.cell(f"{name} could not be scored: {'; '.join(sorted(why))}"))
    if reasons:
        target.print()


def print_ranking(target: Console, ranking: RankingRecord, shorten: Callable[[str], str] = str) -> None:
    """Print where the contestants stand, and what would make the ranks mean more."""
    if not ranking.ranks:
        return
    if ranking.judges and len(ranking.ranks) > 1:
        places = ", ".join(
            f"{shorten(one.model)} {'not ranked' if one.mean is None else f'{one.mean:.3g}'}" for one in ranking.ranks
        )
        judges = f"{len(ranking.judges)} judge{'s' if len(ranking.judges) > 1 else ''} ({', '.join(ranking.judges)})"
        target.print(terminal.cell(f"mean rank by {ranking.metric} over {judges}: {places}"))
    for judge, why in ranking.left_out.items():
        target.print(terminal.cell(f"{judge} is left out of the ranks: {why}"))
    if ranking.advice:
        terminal.warn(target, ranking.advice)


def print_differences(target: Console, result: RunResult, shorten: Callable[[str], str] = str) -> None:
    """Print how the first contestant stands to the others by the metric of the ranks, under each judge that counts."""
    from fsbench import compare

    contestants = [rank.model for rank in result.ranking.ranks if rank.mean is not None]
    comparisons = compare.Comparisons(result)
    if len(contestants) < 2:
        return
    if not comparisons.known:
        target.print(terminal.cell(compare.UNKNOWN))
        return
    metric = next(metric for metric in result.metrics if metric.name == result.ranking.metric)
    for judge in result.ranking.judges:
        stage = result.protocol.stage
        pairs = [compare.Pair(contestants[0], other, metric.name, judge, stage) for other in contestants[1:]]
        compared = [
            replace(one, pair=replace(one.pair, other=shorten(one.pair.other))) for one in comparisons.of(pairs)
        ]
        if said := compare.between(shorten(contestants[0]), compared, metric):
            target.print(terminal.cell(f"{metric.name} under {judge}: {said}"))


def _heading(metric: MetricRecord) -> str:
    return f"{metric.name} {'↑' if metric.direction == 'higher' else '↓'} {metric.unit}".rstrip()


def cell(value: Value, digits: int) -> str:
    """Write a value with its interval, and its counts where not all could be scored."""
    if value.value is None:
        return "not scored"
    interval = "" if value.low is None or value.high is None else f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    counts = "" if value.n_scored == value.n_total else f" {value.n_scored}/{value.n_total}"
    return f"{value.value:.{digits}f}{interval}{counts}"
