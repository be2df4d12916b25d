"""The command line: parse, call, print. Nothing heavy is imported before a command runs: --help answers at once."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

import typer

from fsbench.cli import cache as cache
from fsbench.cli import (
    calibrate,
    compare,
    export,
    gate,
    leaderboard,
    listing,
    report,
    run,
    score,
    show,
    status,
    terminal,
    validate,
)
from fsbench.cli import data as data
from fsbench.cli import swap as swapping
from fsbench.cli import weights as weights
from fsbench.environment import keep_library_caches, quiet_openmp
from fsbench.errors import FsbenchError, one_line

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train or load face-swap models, measure what they do, and write a report that anybody can re-run.\n\n"
    "Try [bold]fsbench run[/bold]: it trains two models on synthetic people, in about seven minutes on two cores.",
    epilog="Exit codes: 0 done, 2 something you can put right (one sentence says what and how), 130 interrupted, "
    "1 a fault in fsbench or a plug-in (a traceback says where), or a run that a model failed in (its row says why; "
    "all else is measured and saved).",
)
app.command("run")(run.run)
app.command("score")(score.score)
app.command("swap")(swapping.swap)
app.command("validate")(validate.validate)
app.command("calibrate")(calibrate.calibrate)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.add_typer(gate.app, name="baseline", help="What fsbench gate holds runs against.")
app.command("leaderboard")(leaderboard.leaderboard)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("list")(listing.list_plugins)
app.add_typer(
    data.app,
    name="data",
    help="Data sets: what is in them, how it is split, what is wrong with it, their crops as files.",
)
app.add_typer(cache.app, name="cache", help="What was computed before: what there is, verifying, removing.")
app.add_typer(weights.app, name="weights", help="Pretrained files: what there is, fetching, importing, verifying.")


@app.callback(invoke_without_command=True)
def version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Answer --version."""
    if version:
        from fsbench import __version__

        terminal.line(f"fsbench {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that a user can put right is one sentence, a hint and exit code 2."""
    quiet_openmp()
    with terminal.streams():
        try:
            keep_library_caches()
            app()
        except FsbenchError as error:
            terminal.print_error(error)
            sys.exit(error.exit_code)
        except Exception as error:  # noqa: BLE001 - a fault of fsbench or of a plug-in
            traceback.print_exception(error)
            where = f"a fault in {_origin(error.__traceback__)}; the lines above say where"
            terminal.print_error(FsbenchError(one_line(error), where))
            sys.exit(1)


def _origin(trace: TracebackType | None) -> str:
    """Name the module of fsbench or of a plug-in that stands last in a traceback."""
    from importlib.metadata import entry_points

    from fsbench.registry import ENTRY_POINTS

    plugins = {point.module.partition(".")[0] for point in entry_points(group=ENTRY_POINTS)}
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(trace)]
    ours = [module for module in modules if module.partition(".")[0] in {"fsbench", *plugins}]
    return f"the plug-in {ours[-1]}" if ours and not ours[-1].startswith("fsbench") else (ours or ["fsbench"])[-1]
