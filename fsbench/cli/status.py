"""`fsbench status`: how far a job is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import options, terminal

if TYPE_CHECKING:
    from fsbench.harness.progress_file import StageProgress
    from fsbench.harness.status import JobStatus

WATCH_SECONDS = 1.0
LOG_SECONDS = 20.0
"""Between two looks where lines are not written over."""

MOST_VALUES = 6
"""Of a model that are printed; --json has all of the summary."""


def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out directory of a job, or a folder of such.")],
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until no process is at work.")] = False,
    as_json: options.JsonObject = False,
) -> None:
    """Tell what a job has done and does now: models, the stage at work with its rate and the time left, warnings.

    For example:

      fsbench status DIR --watch

    Of a job that was killed or failed it tells where, and the command that goes on; of a suite, how each experiment is.
    """
    from fsbench.harness.status import status as look

    if not watch:
        job = look(folder)
        if as_json:
            terminal.print_json(job.model_dump(mode="json"))
        else:
            for line in _lines(job):
                terminal.line(line)
        return
    with suppress(KeyboardInterrupt):
        _watch(folder, as_json)


def _watch(folder: Path, as_json: bool) -> None:
    """Show the status again and again; with `as_json` an object a line."""
    from rich.console import Group
    from rich.live import Live

    console = terminal.console()
    if as_json or not console.is_terminal:
        for job in _looks(folder, WATCH_SECONDS if as_json else LOG_SECONDS):
            for line in [job.model_dump_json()] if as_json else _lines(job):
                terminal.line(line)
        return
    with Live(console=console, auto_refresh=False) as live:
        for job in _looks(folder, WATCH_SECONDS):
            live.update(Group(*map(terminal.cell, _lines(job))), refresh=True)


def _looks(folder: Path, seconds: float) -> Iterator[JobStatus]:
    """Look until no process is at work for two looks: between the experiments of a suite none is for a moment."""
    from fsbench.harness.status import status as look

    idle = 0
    while idle < 2:
        job = look(folder)
        idle = 0 if job.state == "running" else idle + 1
        yield job
        time.sleep(seconds if job.state == "running" else WATCH_SECONDS)


def _lines(job: JobStatus, indent: str = "") -> Iterator[str]:
    """The status of a job in sentences."""
    from fsbench.numbers import duration

    times = [f"for {duration(job.seconds)}"] if job.seconds is not None else []
    times += [f"last progress {duration(job.age)} ago"] if job.age is not None else []
    yield f"{indent}{job.folder}: {job.sentence}{'; ' * bool(times)}{', '.join(times)}"
    if job.models:
        failed = f", {len(job.failed)} failed" if job.failed else ""
        yield f"{indent}{len(job.finished)} of {len(job.models)} models are done{failed}"
    for model, values in job.finished.items():
        if values:
            yield f"{indent}  {model}: {_values(values)}"
    for model, error in job.failed.items():
        yield f"{indent}  {model} failed: {error}"
    if job.stage is not None:
        yield f"{indent}{_stage(job.stage)}"
    if job.message:
        yield f"{indent}{job.message}"
    if job.warnings:
        yield f"{indent}{job.n_warnings} warning{'s' * (job.n_warnings > 1)}, the first: {job.warnings[0]}"
    for one in job.jobs:
        yield from _lines(one, f"{indent}  ")
    if job.again:
        yield f"{indent}go on with: {job.again}"


def _values(values: Mapping[str, float | None]) -> str:
    texts = [f"{name} {'not scored' if value is None else f'{value:.3g}'}" for name, value in values.items()]
    more = f" and {len(texts) - MOST_VALUES} more" if len(texts) > MOST_VALUES else ""
    return ", ".join(texts[:MOST_VALUES]) + more


def _stage(stage: StageProgress) -> str:
    """How far a stage is: `finding faces: 412 of 1,200 (34 %), 7.1/s, 111 s left`."""
    from fsbench.cli.progress import figures_text
    from fsbench.numbers import duration

    if not stage.total or stage.done is None:
        return f"{stage.stage}: begun"
    parts = [f"{stage.done:,.0f} of {stage.total:,.0f} ({100 * stage.done / stage.total:.0f} %)"]
    parts += [f"{stage.rate:.3g}/s"] if stage.rate and not any(name.endswith("/s") for name in stage.figures) else []
    parts += [f"{duration(stage.left)} left"] if stage.left is not None and stage.done < stage.total else []
    figures = {name: value for name, value in stage.figures.items() if isinstance(value, int | float)}
    return f"{stage.stage}: {', '.join(parts)}{'; ' * bool(figures)}{figures_text(figures)}"
