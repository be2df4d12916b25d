"""`fsbench report`: the page of a run, written again."""

from __future__ import annotations

from fsbench.cli import options, terminal


def report(folder: options.RunFolder) -> None:
    """Write report.html again from the files of a run; needs neither the models nor a GPU."""
    from fsbench.report import write

    terminal.line(f"report: {write(folder)}")
