"""What commands have in common: progress, interruption, the report of a run, and directories for results."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fsbench.cli import terminal
from fsbench.errors import FsbenchError, Interrupted, OutputError, UsageError
from fsbench.remote import is_like_url, url_of

if TYPE_CHECKING:
    from fsbench.cli.progress import JobEvents
    from fsbench.results import RunResult

BELOW = "/".join(5 * ["x" * 60])
"""A path as long as those that a run writes below its directory."""


@contextmanager
def running(
    again: str, *, quiet: bool = False, kept: str = "finished work", out: Path | None = None
) -> Iterator[JobEvents]:
    """Show the progress of what happens in a `with` block; raises Interrupted, naming the command that goes on.

    `out` is the folder that the block writes into; runs choose theirs themselves, when it has been checked.
    """
    from fsbench.cli.progress import listened
    from fsbench.events import FolderChosen

    try:
        with listened(quiet, again=again) as events:
            if out is not None:
                events.tell(FolderChosen(out))
            yield events
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept} is kept", f"go on with: {again}") from None


def conclude(result: RunResult, out: Path, again: str, *, quiet: bool = False, verbose: bool = False) -> None:
    """Write the report of a run, print its table and where the report is.

    Leaves with exit code 1 where a model or a metric failed, or where the report could not be written.
    """
    from fsbench.cli.summary import print_summary

    with running(again, quiet=quiet):
        page, fault = write_report(out)
    if not quiet:
        print_summary(result, verbose=verbose)
    if page is None:
        terminal.line(f"the report could not be written ({fault}); the numbers are in {out}: fsbench show", error=True)
    else:
        terminal.line(f"report: {page}")
    faulty = any(model.error for model in result.models) or any(value.is_fault for value in result.values)
    if page is None or faulty:
        raise typer.Exit(1)


def write_report(out: Path, write: Callable[[Path], Path] | None = None) -> tuple[Path | None, str]:
    """Write the page of a run, or what `write` writes; returns its path, or the fault of the report without one."""
    from fsbench import report  # matplotlib: not before it is needed

    try:
        return (write or report.write)(out), ""
    except FsbenchError:
        raise
    except Exception as error:  # noqa: BLE001 - the numbers are saved, and the table of them is printed
        return None, f"{type(error).__name__}: {error}"


def command_line() -> str:
    """The command as typed, which results keep; raises UsageError where it cannot be written down."""
    for word in sys.argv[1:]:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            raise UsageError(
                f"{word} is not UTF-8, and a report could not name it",
                "rename the file or folder; where the name is right, set a UTF-8 locale, such as LC_ALL=C.UTF-8",
            ) from None
    return shlex.join(["fsbench", *sys.argv[1:]])


def resumed(out: Path) -> str:
    """The command that goes on with a run in `out`: as typed, with --out and --resume."""
    words = sys.argv[1:]
    has_out = any(word == "--out" or word.startswith(("-o", "--out=")) for word in words)
    more = [*([] if has_out else ["--out", str(out)]), *([] if "--resume" in words else ["--resume"])]
    return shlex.join(["fsbench", *words, *more])


def default_out(name: str) -> Path:
    """A new directory for results."""
    plain = "".join(c if c.isalnum() else "-" for c in name)[:80]
    return Path("reports") / f"{plain}-{datetime.now():%Y%m%d-%H%M%S}"


@contextmanager
def results_folder(out: str | os.PathLike[str], *, quiet: bool = False) -> Iterator[Path]:
    """The directory of --out, for a `with` block that leaves a run in it; of a URL, one whose files are sent there."""
    url = url_of(os.fspath(out))
    if url is None:
        yield usable_folder(Path(out))
        return
    from fsbench.environment import cache_root
    from fsbench.harness.run_urls import published

    faulty: typer.Exit | None = None
    with published(url, cache_root(), lambda message: None if quiet else terminal.line(message, error=True)) as folder:
        try:
            yield folder
        except typer.Exit as left:  # a model failed, and all else is there to be sent
            faulty = left
    if not quiet:
        terminal.line(f"sent to {url}")
    if faulty is not None:
        raise faulty


def usable_folder(out: Path, option: str = "--out ") -> Path:
    """The directory that an option names; raises OutputError, before any work, where there can be none."""
    shown = f"{option}{out if len(str(out)) < 100 else f'{str(out)[:80]}...'}"
    if is_like_url(str(out)):
        raise OutputError(f"{shown} is no directory here", "name one, with ./ before a colon; run and score take URLs")
    try:
        folder = out.expanduser()
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
        for name in (*folder.absolute().relative_to(there).parts, BELOW):
            _check_name(there / name)
        _check_name(folder / BELOW)
        kind = os.stat(there).st_mode  # of what a link leads to
    except RuntimeError:
        raise OutputError(
            f"{shown}: there is no user {out.parts[0][1:]}",
            f"write the path in full, or ./{out.parts[0]} for a directory of that name",
        ) from None
    except (OSError, ValueError) as error:
        remedies = {
            errno.ENAMETOOLONG: "name a shorter directory",
            errno.ENOENT: "remove the dead link, or name another directory",
            errno.ELOOP: "remove the links that lead to each other, or name another directory",
        }
        number = error.errno if isinstance(error, OSError) else None
        raise OutputError(
            f"{shown} cannot be a directory: {getattr(error, 'strerror', None) or error}",
            remedies.get(number or 0, "name another directory"),
        ) from None
    if not stat.S_ISDIR(kind):
        where = "" if there == folder.absolute() else f"{there} "
        what = "a file" if stat.S_ISREG(kind) else "a pipe, a socket or a device"
        raise OutputError(f"{shown}{': ' if where else ' '}{where}is {what}", "name a new directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(
            f"{shown}: nothing may be written into {there}",
            "name a directory elsewhere, or change the permissions of this one",
        )
    return folder


def _check_name(path: Path) -> None:
    """Raise OSError for a path that cannot exist; whether it exists does not matter."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)
