"""`fsbench report`: the page of a run written again, and the page of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fsbench.cli import compare, terminal

Folders = Annotated[list[Path], typer.Argument(metavar="DIR [B ...]", help="Run folders; of several, one page of all.")]
OutFile = Annotated[Path | None, typer.Option("--out", "-o", help="Where the page of several runs goes.")]


def report(
    folders: Folders,
    out: OutFile = None,
    models: compare.Chosen = None,
    metrics: compare.ChosenMetrics = None,
    margins: compare.Margins = None,
    allow_mismatch: compare.AllowMismatch = False,
) -> None:
    """Write report.html again from the files of a run, or of a suite; needs neither the models nor a GPU.

    Of several runs it writes one page that compares them with the first, as fsbench compare does:

      fsbench report reports/monday reports/tuesday --out comparison.html
    """
    from fsbench import report as pages
    from fsbench.errors import UsageError
    from fsbench.report import suite
    from fsbench.results import holds_suite

    if len(folders) == 1:
        if out is not None:
            raise UsageError(
                "--out is for the page of several runs", "leave it out: the page goes into the run's folder"
            )
        page = suite.write(folders[0]) if holds_suite(folders[0]) else pages.write(folders[0])
    elif out is None:
        raise UsageError("the page of several runs needs a place", "add --out comparison.html")
    else:
        from fsbench.report import comparison

        scores = compare.read(folders)
        page = comparison.write(scores, compare.compared(scores, models, metrics, margins, allow_mismatch), out)
    terminal.line(f"report: {page}")
