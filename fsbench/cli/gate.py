"""`fsbench gate` and `fsbench baseline save`: whether a run is no worse than a baseline."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsbench.cli import options, terminal

if TYPE_CHECKING:
    from fsbench.gates.decide import GateResult
    from fsbench.gates.rules import GateConfig
    from fsbench.gates.wording import Metrics

app = typer.Typer(no_args_is_help=True)
LARGEST = 1_000_000
"""Bytes above which a baseline is called too large for a repository."""

STYLES = {"pass": "green", "regression": "red", "inconclusive": "yellow"}

BaselineFile = Annotated[
    Path,
    typer.Option(
        "--baseline",
        metavar="PATH",
        parser=options.run_folder,
        help="What fsbench baseline save wrote, or a run folder; or the URL of one.",
    ),
]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        help="'METRIC drop<=0.01', 'METRIC@JUDGE drop<=2%', 'METRIC rise<=0.5' where lower is better, with "
        "'supporting:' or 'advisory:' before it; repeat it. Default: headline metrics may drop by 0.01.",
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="gate.toml: critical, supporting, advisory = [RULE, ...].")
]
StandsFor = Annotated[
    list[str] | None, typer.Option("--as", help="BASELINE_MODEL=MODEL, where they are called differently; repeat it.")
]
Unknown = Annotated[
    str | None, typer.Option("--inconclusive", help="pass or fail: what not knowing means. Default: exit code 3.")
]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML, which GitLab and Jenkins show.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="Write Markdown for a comment.")]
Github = Annotated[
    bool, typer.Option("--github", help="Print annotations, and add to the job's summary ($GITHUB_STEP_SUMMARY).")
]


def gate(
    run: options.RunFolder,
    baseline: BaselineFile,
    rules: Rules = None,
    config: Config = None,
    stands_for: StandsFor = None,
    inconclusive: Unknown = None,
    junit_file: Junit = None,
    markdown_file: MarkdownFile = None,
    github: Github = False,
    as_json: options.JsonObject = False,
) -> None:
    """Hold a run against a baseline: exit code 0 passes, 1 is a regression, 3 is inconclusive, 2 is bad input.

    For example:

      fsbench baseline save reports/main baseline.json

      fsbench gate reports/change --baseline baseline.json --rule "id_similarity drop<=0.01" --junit gate.xml

    Each rule is decided by the interval of the paired difference, sample by sample, that draws whole sessions again. It
    passes where the loss is within the margin by the whole interval, and is a regression where the loss is
    significantly above the margin (2.5 % for all rules together). In between nobody can say: measure more pairs, or
    allow more. A regression of a critical or supporting rule blocks, and not knowing of a critical one; advisory rules
    are only told. A run of another protocol or data revision is refused.
    """
    from fsbench.gates.baseline import open_scores
    from fsbench.gates.decide import decide
    from fsbench.gates.rules import GateConfig, Rule, read_config

    settings = read_config(config) if config is not None else GateConfig()
    known, scores = open_scores(baseline), open_scores(run)
    result = decide(
        scores,
        known,
        [*settings.rules, *(Rule.parse(text) for text in rules or ())],
        stands_for=_pairs([*settings.stands_for, *(stands_for or ())], known.contestants),
        inconclusive=_choice(inconclusive, settings),
    )
    metrics = {**scores.metrics, **known.metrics}
    _write(result, metrics, junit_file, markdown_file)
    if as_json:
        terminal.print_json(result.model_dump(mode="json"))
    else:
        with _no_commands(github):
            _print(result, metrics)
    if github:
        _tell_github(result, metrics)
    raise typer.Exit(result.exit_code)


def _choice(typed: str | None, settings: GateConfig) -> Any:
    from fsbench.errors import UnknownName

    if typed not in (None, "pass", "fail"):
        raise UnknownName("--inconclusive", str(typed), ("pass", "fail"))
    return typed or settings.inconclusive


def _pairs(texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Models by the baseline's name, in which there may be a = as well."""
    from fsbench.errors import UsageError

    pairs = {}
    for text in texts:
        old = next((name for name in sorted(names, key=len, reverse=True) if text.startswith(f"{name}=")), None)
        if old is None:
            known = ", ".join(names)
            raise UsageError(f"--as {text!r} names no model of the baseline ({known})", "write BASELINE_MODEL=MODEL")
        pairs[old] = text[len(old) + 1 :]
    return pairs


def _write(result: GateResult, metrics: Metrics, junit_file: Path | None, markdown_file: Path | None) -> None:
    from fsbench.gates.junit import junit
    from fsbench.gates.markdown import markdown
    from fsbench.store import write_text

    if junit_file is not None:
        write_text(junit_file, junit(result, metrics))
    if markdown_file is not None:
        write_text(markdown_file, markdown(result, metrics))


@contextmanager
def _no_commands(github: bool) -> Iterator[None]:
    """Let a name that looks like a command of a workflow be a name, where GitHub reads the output."""
    token = secrets.token_hex(16)
    if github:
        terminal.line(f"::stop-commands::{token}")
    yield
    if github:
        terminal.line(f"::{token}::")


def _print(result: GateResult, metrics: Metrics) -> None:
    from rich.table import Table

    from fsbench.gates import wording

    target = terminal.console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "tier", "rule"):
        table.add_column(heading, no_wrap=heading != "rule", overflow="fold")
    for check in result.checks:
        lines = [wording.title(check), wording.sentence(check, metrics)]
        table.add_row(terminal.cell(check.state, style=STYLES[check.state]), check.tier, terminal.cell(*lines))
    target.print(table)
    for note in result.notes:
        terminal.warn(target, note)
    target.print(terminal.cell(wording.age(result)))
    target.print(terminal.cell(wording.headline(result), style="bold"))


def _tell_github(result: GateResult, metrics: Metrics) -> None:
    from fsbench.gates.github import add_summary, commands
    from fsbench.gates.markdown import markdown

    for command in commands(result, metrics):
        terminal.line(command)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        terminal.line("no summary is written: GITHUB_STEP_SUMMARY is not set", error=True)
    elif not add_summary(Path(summary), markdown(result, metrics)):
        terminal.line("no summary is written: that of this job is full", error=True)


@app.command("save")
def save(
    run: options.RunFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the baseline goes, such as baseline.json.")],
    models: Annotated[
        list[str] | None, typer.Option("--model", help="A model to keep; repeat it. Default: all but baselines.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="METRIC or METRIC@JUDGE; repeat it. Default: those of a report's summary."),
    ] = None,
) -> None:
    """Save what fsbench gate holds later runs against: a small file, to be committed beside the code.

    For example:

      fsbench baseline save reports/main baseline.json --metric id_similarity --metric pose_error

    It has one line for each sample, with six significant digits of each number, the protocol and hashes of everything
    that decides a number. Saving it again accepts what a later run does: review it as you review code.
    """
    from fsbench.comparison.scores import load
    from fsbench.gates import baseline

    saved = baseline.save(load(run), file, models=models or (), metrics=metrics or ())
    for name, reason in saved.left_out.items():
        terminal.line(f"left out: {name}: {reason}", error=True)
    terminal.line(f"baseline: {file} ({saved.n_bytes / 1000:,.0f} kB)")
    if saved.n_bytes > LARGEST:
        terminal.line("it is large for a repository: --model and --metric keep fewer numbers", error=True)
