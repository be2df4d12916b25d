"""`fsbench report`: the page of a run written again, its brief, and the page of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fsbench.cli import compare, options, terminal

Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR [B ...]",
        parser=options.run_with_pictures,
        help="Run folders or their URLs; of several, one page of all.",
    ),
]
OutFile = Annotated[Path | None, typer.Option("--out", "-o", help="Where the page of several runs goes.")]
Brief = Annotated[
    bool, typer.Option("--brief", help="Write brief.html, the page's first screen: verdict, one table, one gallery.")
]
PdfFile = Annotated[
    Path | None, typer.Option("--pdf", metavar="FILE", help="Print the page to this file; needs Chromium or Chrome.")
]


def report(
    folders: Folders,
    out: OutFile = None,
    brief: Brief = False,
    pdf: PdfFile = None,
    models: compare.Chosen = None,
    metrics: compare.ChosenMetrics = None,
    margins: compare.Margins = None,
    allow_mismatch: compare.AllowMismatch = False,
) -> None:
    """Write report.html again from the files of a run, or of a suite; needs neither the models nor a GPU.

    A brief of a run is two pages to forward, which Chromium prints where it is installed:

      fsbench report reports/monday --brief --pdf monday.pdf

    Of several runs it writes one page that compares them with the first, as fsbench compare does:

      fsbench report reports/monday reports/tuesday --out comparison.html
    """
    from fsbench.errors import UsageError
    from fsbench.report import pdf as printing

    if len(folders) == 1:
        if out is not None:
            raise UsageError(
                "--out is for the page of several runs", "leave it out: the page goes into the run's folder"
            )
        page = _page(folders[0], brief)
    elif out is None:
        raise UsageError("the page of several runs needs a place", "add --out comparison.html")
    elif brief:
        raise UsageError("a brief is of one run", "leave out --brief, or name one run")
    else:
        from fsbench.report import comparison

        scores = compare.read(folders)
        page = comparison.write(scores, compare.compared(scores, models, metrics, margins, allow_mismatch), out)
    terminal.line(f"report: {page}")
    if pdf is not None:
        terminal.line(f"pdf: {printing.write(page, pdf)}")


def _page(folder: Path, brief: bool) -> Path:
    """Write the page of a run or of a suite."""
    from fsbench import report as pages
    from fsbench.errors import UsageError
    from fsbench.report import suite
    from fsbench.results import holds_suite

    if not holds_suite(folder):
        return pages.write(folder, brief=brief)
    if brief:
        raise UsageError("a suite has no brief: its page is one", "leave out --brief, or name the run of an experiment")
    return suite.write(folder)
