"""`fsbench report`: the page of a run, written again."""

from __future__ import annotations

from fsbench.cli import options, terminal


def report(folder: options.RunFolder) -> None:
    """Write report.html again from the files of a run, or of a suite; needs neither the models nor a GPU."""
    from fsbench import report as pages
    from fsbench.report import suite
    from fsbench.results import holds_suite

    terminal.line(f"report: {suite.write(folder) if holds_suite(folder) else pages.write(folder)}")
