"""`fsbench compare`: runs of different days, machines and versions, paired by sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import options, terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fsbench.comparison.margins import Margin
    from fsbench.comparison.scores import Scores
    from fsbench.comparison.table import RunComparison, RunDifference
    from fsbench.results import MetricRecord

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="A B [C ...]",
        parser=options.run_folder,
        help="Run folders, baselines, or their URLs; the others are compared with A.",
    ),
]
Chosen = Annotated[
    list[str] | None,
    typer.Option("--models", help="NAME, or A_MODEL=B_MODEL; repeat it. Default: models of one name, or the only two."),
]
ChosenMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="METRIC or METRIC@JUDGE; repeat it. Default: those of a report's summary. Distances of distributions, and "
        "metrics of few clips, are compared where they are named.",
    ),
]
Margins = Annotated[
    list[str] | None,
    typer.Option(
        "--margin",
        help="METRIC=0.01 or METRIC=2%: differences within it are equivalent; repeat it. Default: 0.01 for "
        "headline metrics, which are cosines, and none for others.",
    ),
]
AllowMismatch = Annotated[
    bool, typer.Option("--allow-mismatch", help="Compare also what the protocols touch, and mark it.")
]

STYLES = {"better": "green", "worse": "red", "inconclusive": "dim"}


def compare(
    runs: Runs,
    models: Chosen = None,
    metrics: ChosenMetrics = None,
    margins: Margins = None,
    allow_mismatch: AllowMismatch = False,
    as_json: options.JsonObject = False,
) -> None:
    """Compare finished runs by the samples that they share.

    For example:

      fsbench compare reports/monday reports/tuesday

      fsbench compare old new --models gan_mask=gan_mask+adain --metric id_similarity --margin id_similarity=0.02

    Each difference is that of the same source in the same target, and its interval draws whole sessions (and sources,
    from ten on) again. Verdicts: better or worse, where the p-value is below 0.05 after Holm's correction for the
    whole table (of rates, McNemar's test must agree); equivalent, where the interval lies within the margin;
    inconclusive else, and the smallest difference that would have been seen stands beside it. What the runs did
    differently is listed first: numbers that it touches are refused with the reason.
    """
    scores = read(runs)
    comparison = compared(scores, models, metrics, margins, allow_mismatch)
    if as_json:
        terminal.print_json(comparison.model_dump(mode="json"))
    else:
        print_comparison(comparison, {**scores[-1].metrics, **scores[0].metrics})


def read(paths: list[Path]) -> list[Scores]:
    """Read runs and baselines; raises UsageError for a single one."""
    from fsbench.errors import UsageError
    from fsbench.gates.baseline import open_scores

    if len(paths) < 2:
        raise UsageError("one run alone is compared with nothing", "name two or more: fsbench compare A B")
    scores: list[Scores] = []
    for path in paths:
        run = open_scores(path)
        again = any(run.label == other.label for other in scores)
        scores.append(replace(run, label=f"{run.label} ({len(scores) + 1})") if again else run)
    return scores


def compared(
    scores: list[Scores],
    models: list[str] | None,
    metrics: list[str] | None,
    margins: list[str] | None,
    allow_mismatch: bool,
) -> RunComparison:
    """Compare runs by what was typed."""
    from fsbench.comparison.table import compare_runs

    return compare_runs(
        scores,
        models=models or (),
        metrics=metrics or (),
        margins=parse_margins(margins or [], scores),
        allow_mismatch=allow_mismatch,
    )


def parse_margins(texts: list[str], scores: list[Scores]) -> dict[str, Margin]:
    """Margins by metric; raises UsageError, UnknownName."""
    from fsbench.comparison.margins import Margin
    from fsbench.errors import UnknownName, UsageError

    known = {name for run in scores for name in run.metrics}
    margins = {}
    for text in texts:
        name, mark, size = text.rpartition("=")
        if not mark:
            raise UsageError(f"--margin {text!r} names no metric", "write METRIC=SIZE, such as id_similarity=0.01")
        if name not in known:
            raise UnknownName("metric in these runs:", name, known)
        margins[name] = Margin.parse(size)
    return margins


def print_comparison(comparison: RunComparison, metrics: dict[str, MetricRecord]) -> None:
    """Print what differs in protocol, the differences, and what was not compared."""
    from fsbench.comparison.wording import letter_of, title

    target = terminal.console()
    letters = {run: letter_of(number) for number, run in reversed(list(enumerate(comparison.runs)))}
    for number, (run, created) in enumerate(zip(comparison.runs, comparison.created, strict=True)):
        terminal.line(f"{letter_of(number)}: {run} ({created})")
    for mismatch in comparison.mismatches:
        touched = f"touches {_count(mismatch.touches)}" if mismatch.touches else "touches no number"
        text = f"{mismatch.what}: {mismatch.first} in A, {mismatch.second} in {letters[mismatch.run]} ({touched})"
        (terminal.warn if mismatch.touches else _print)(target, text)
    for sentence in comparison.unmatched:
        terminal.warn(target, sentence)
    for (run, model, reference), records in _grouped(comparison.differences).items():
        target.print()
        target.print(terminal.cell(title(model, reference, letters[run]), style="bold"))
        if compared := [record for record in records if record.verdict != "refused"]:
            target.print(_table(compared, metrics))
        for sentence in _refused(records):
            target.print(terminal.cell(sentence))
    if comparison.n_tested:
        tests = f"{comparison.n_tested} comparisons" if comparison.n_tested > 1 else "one comparison"
        corrected = f"p-values and detectable differences are corrected for {tests} (Holm)"
        target.print(terminal.cell(f"{corrected}; an interval is of its difference alone"))


def _print(target: Console, text: str) -> None:
    target.print(terminal.cell(text))


def _count(names: tuple[str, ...]) -> str:
    from fsbench.files import some

    return some(names) if len(names) <= 3 else f"{len(names)} numbers"


def _grouped(records: tuple[RunDifference, ...]) -> dict[tuple[str, str, str], list[RunDifference]]:
    groups: dict[tuple[str, str, str], list[RunDifference]] = {}
    for record in records:
        groups.setdefault((record.run, record.model, record.reference), []).append(record)
    return groups


def _table(records: list[RunDifference], metrics: dict[str, MetricRecord]) -> Table:
    from rich.table import Table

    from fsbench.comparison.wording import difference, name_of, p_value, remark

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "metric"):
        table.add_column(heading, no_wrap=True)
    table.add_column("difference", overflow="fold")
    for heading in ("p", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        metric = metrics[record.metric]
        table.add_row(
            terminal.cell(record.verdict, style=STYLES.get(record.verdict, "")),
            terminal.cell(name_of(record, metric)),
            terminal.cell(difference(record, metric), *filter(None, [remark(record, metric)])),
            terminal.cell(p_value(record.p)),
            terminal.cell(record.n),
        )
    return table


def _refused(records: list[RunDifference]) -> list[str]:
    """Say what was not compared, by reason."""
    from fsbench.results import column

    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.verdict == "refused":
            reasons.setdefault(record.reason, []).append(column(*record.key))
    return [f"not compared: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
