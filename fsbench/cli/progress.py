"""Listeners of a job that show its progress: bars on a terminal; a line now and then in a file or a CI log; JSON."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from fsbench.cli import terminal
from fsbench.events import Event, Events, Listener, Message, StageAdvanced
from fsbench.harness.progress_file import ProgressFile

if TYPE_CHECKING:
    from fsbench import interfaces  # brings torch

LINE_EVERY_SECONDS = 20.0
QUICK_SECONDS = 3.0
"""A stage that takes no longer needs no line in a log."""

JSON_EVERY_SECONDS = 1.0
"""Of one stage there are no more objects than one in that time, and one at its end."""


class JobEvents(Events):
    """The events of one command."""

    def context(self, device: str, data_root: Path | None = None) -> interfaces.Context:
        """The context of work that tells these events; brings torch."""
        from fsbench.environment import make_context

        return make_context(device, data_root, self)


@contextmanager
def listened(quiet: bool = False, as_json: bool | None = None, again: str = "") -> Iterator[JobEvents]:
    """Show on standard error what happens in a `with` block, and keep the progress file of the folder it writes into.

    `again` is the command that goes on where the process is killed. With None for `as_json` the stream says so itself.
    """
    with ExitStack() as stack:
        if quiet:
            shown: list[Listener] = []
        elif terminal.is_json() if as_json is None else as_json:
            shown = [JsonLines()]
        elif sys.stderr.isatty():
            shown = [stack.enter_context(_bars())]
        else:
            shown = [Lines(terminal.console(error=True, soft_wrap=True))]
        yield JobEvents(*shown, stack.enter_context(ProgressFile(again)))


class JsonLines:
    """Prints events as JSON, an object a line."""

    def __init__(self) -> None:
        self._next: dict[int, float] = {}  # by stage: when it may be printed again

    def __call__(self, event: Event) -> None:
        """Print an event; of a stage that advances only what is due."""
        if isinstance(event, StageAdvanced):
            now, due, ended = time.monotonic(), self._next.get(event.number, 0.0), event.done >= event.total
            if now < due and (not ended or due == math.inf):
                return
            self._next[event.number] = math.inf if ended else now + JSON_EVERY_SECONDS
        terminal.print_event(event)


class Lines:
    """Prints a line for a stage that takes long, now and then, and messages."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: dict[int, float] = {}  # by stage: seconds since its begin

    def __call__(self, event: Event) -> None:
        """Print an event that a reader of a log wants to know of."""
        if isinstance(event, Message):
            self._console.print(terminal.cell(event.text))
        elif isinstance(event, StageAdvanced):
            silence = event.seconds - self._printed.get(event.number, 0.0)
            if silence < (LINE_EVERY_SECONDS if event.done < event.total else QUICK_SECONDS):
                return
            self._printed[event.number] = event.seconds
            share = 100 * event.done / event.total if event.total else 100.0
            line = f"{event.stage}: {share:.0f} %, {event.seconds:.0f} s  {figures_text(event.figures)}"
            self._console.print(terminal.cell(line.rstrip()))


class Bars:
    """Shows one stage below the other; a bar appears when its stage advances for the first time."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[int, TaskID] = {}  # by stage

    def __call__(self, event: Event) -> None:
        """Move a bar, or print a message above the bars."""
        if isinstance(event, Message):
            self._bars.console.print(terminal.cell(event.text))
        elif isinstance(event, StageAdvanced):
            if event.number not in self._tasks:
                title = terminal.clean(event.stage)
                self._tasks[event.number] = self._bars.add_task(title, total=event.total, figures="")
            self._bars.update(
                self._tasks[event.number], completed=event.done, total=event.total, figures=figures_text(event.figures)
            )


@contextmanager
def _bars() -> Iterator[Bars]:
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
    with Progress(*columns, console=terminal.console(error=True, soft_wrap=True), expand=True) as bars:
        yield Bars(bars)


def figures_text(figures: Mapping[str, float]) -> str:
    """Losses and rates as they stand beside a bar."""
    return "  ".join(f"{name} {_figure(value)}" for name, value in figures.items())


def _figure(value: float) -> str:
    """Print about three digits, without an exponent where a reader needs none.

    >>> _figure(0.918), _figure(12.14), _figure(4812.0), _figure(0.00001)
    ('0.918', '12.1', '4812', '1e-05')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
