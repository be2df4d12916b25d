"""What commands that write a report have in common."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fsbench.interfaces import Context
    from fsbench.results import RunResult


ObserverFiles = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated NAME@PATH: files of your own for the networks behind metrics such as fid (inception). "
        "See: fsbench list observers. Default: the catalogue's."
    ),
]


def execute(
    work: Callable[[Context, str], RunResult],
    out: Path,
    *,
    device: str,
    data_root: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> None:
    """Do some work, given a context and the command as typed, write its report, and print what was found."""
    from fsbench.cli.progress import stages
    from fsbench.cli.show import print_summary
    from fsbench.environment import make_context
    from fsbench.errors import Interrupted

    typed = ["fsbench", *sys.argv[1:]]
    try:
        with stages(quiet) as shown:
            result = work(make_context(device, data_root, shown.stage, shown.log), shlex.join(typed))
            from fsbench.report import write  # matplotlib: not before it is needed

            page = write(out)
    except KeyboardInterrupt:
        named = any(word == "-o" or word.startswith("--out=") or word == "--out" for word in typed)
        more = [*([] if named else ["--out", str(out)]), *([] if resume else ["--resume"])]
        raise Interrupted("interrupted; finished work is kept", f"go on with: {shlex.join(typed + more)}") from None
    if not quiet:
        print_summary(result)
    typer.echo(f"report: {page}")


def default_out(name: str) -> Path:
    """A new directory for results."""
    plain = "".join(c if c.isalnum() else "-" for c in name)
    return Path("reports") / f"{plain}-{datetime.now():%Y%m%d-%H%M%S}"
