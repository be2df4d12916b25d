"""`fsbench report`: the page of a run, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fsbench.cli import terminal


def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out directory of a run.")]) -> None:
    """Write report.html again from the files of a run; needs neither the models nor a GPU."""
    from fsbench.report import write

    terminal.line(f"report: {write(folder)}")
