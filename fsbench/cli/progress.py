"""Progress bars on a terminal; a line now and then where the output is a file or a CI log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from fsbench.cli import terminal

if TYPE_CHECKING:
    from fsbench import interfaces  # brings torch

LINE_EVERY_SECONDS = 20.0
QUICK_SECONDS = 3.0
"""A stage that takes no longer needs no line in a log."""


class Stages:
    """Shows one stage of work after the other."""

    def __init__(self, console: Console, bars: Progress | None) -> None:
        self.console = console
        self.bars = bars

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        self.console.print(terminal.cell(message))

    def stage(self, title: str) -> interfaces.Progress:
        """Open a stage; its bar appears with the first call."""
        return _Bar(self.bars, title) if self.bars is not None else _Lines(self.console, title)

    def context(self, device: str, data_root: Path | None = None) -> interfaces.Context:
        """The context of work whose progress is shown here; brings torch."""
        from fsbench.environment import make_context

        return make_context(device, data_root, self.stage, self.log)


class _Bar:
    def __init__(self, bars: Progress, title: str) -> None:
        self.bars, self.title = bars, title
        self.task: TaskID | None = None

    def __call__(self, done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        if self.task is None:
            self.task = self.bars.add_task(terminal.clean(self.title), total=total, figures="")
        self.bars.update(self.task, completed=done, total=total, figures=_text(figures))


class _Lines:
    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.begun = self.printed = time.monotonic()

    def __call__(self, done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self.printed < (LINE_EVERY_SECONDS if done < total else QUICK_SECONDS):
            return
        self.printed = now
        share = 100 * done / total if total else 100.0
        line = f"{self.title}: {share:.0f} %, {now - self.begun:.0f} s  {_text(figures)}"
        self.console.print(terminal.cell(line.rstrip()))


def _text(figures: Mapping[str, float] | None) -> str:
    return "  ".join(f"{name} {_figure(value)}" for name, value in (figures or {}).items())


def _figure(value: float) -> str:
    """Print about three digits, without an exponent where a reader needs none.

    >>> _figure(0.918), _figure(12.14), _figure(4812.0), _figure(0.00001)
    ('0.918', '12.1', '4812', '1e-05')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


@contextmanager
def stages(quiet: bool = False) -> Iterator[Stages]:
    """Show progress on standard error for the length of a `with` block."""
    console = terminal.console(error=True, quiet=quiet, soft_wrap=True)
    if quiet or not sys.stderr.isatty():
        yield Stages(console, None)
        return
    whole = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=whole),
        BarColumn(bar_width=20, table_column=whole),
        TextColumn("{task.percentage:>3.0f} %", table_column=whole),
        TimeElapsedColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
        TextColumn(  # what does not fit is cut off here, not the times
            "{task.fields[figures]}",
            style="dim",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
    )
    with Progress(*columns, console=console, expand=True) as bars:
        yield Stages(console, bars)
