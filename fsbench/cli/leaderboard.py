"""`fsbench leaderboard`: all finished runs of a folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsbench.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsbench.leaderboard import Board
    from fsbench.results import Key


class By(StrEnum):
    """What the page shows of models that several runs measured."""

    run = "run"
    commit = "commit"


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder in which runs lie, at any depth.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Runs of one data set, by its name in results. Default: all.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated: METRIC or METRIC@JUDGE; the first ranks. Default: the headline of each."),
    ] = None,
    by: Annotated[
        By, typer.Option(help="commit: the page also draws each model over the commits that its runs were made with.")
    ] = By.run,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write one page of it all. Default: tables in the terminal.")
    ] = None,
    as_json: options.JsonList = False,
) -> None:
    """Put all finished runs of a folder side by side, where they measured the same data in the same way.

    Each model is shown as its newest run measured it. A number that was measured otherwise (another version of a
    metric, other weights of a judge) is left out, with the reason.

    For example:

      fsbench leaderboard reports

      fsbench leaderboard reports --by commit --metrics id_similarity --out leaderboard.html
    """
    from fsbench.errors import UsageError
    from fsbench.leaderboard import collect
    from fsbench.specs import split_list

    if by is By.commit and out is None:
        raise UsageError("--by commit draws figures, which need a page", "add --out leaderboard.html")
    boards, named = collect(folder, dataset or ""), split_list(metrics or "")
    for name in named:
        if not any(board.chosen([name]) for board in boards.boards):
            raise UsageError(f"no run in {folder} has a value of {name}", "see: fsbench show DIR")
    for path, why in boards.unread.items():
        terminal.line(f"left out: {path}: {why}", error=True)
    if out is not None:
        from fsbench.report import leaderboard as pages

        terminal.line(f"leaderboard: {pages.write(boards, out.expanduser(), named, by.value)}")
    elif as_json:
        terminal.print_json([row for board in boards.boards for row in _facts(board, board.shown(named))])
    else:
        for board in boards.boards:
            _print(board, board.shown(named))


def _facts(board: Board, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """One object for each number of a board."""
    return [
        {
            "dataset": board.newest.dataset.name,
            "revision": board.newest.dataset.revision,
            "model": entry.model.name,
            "run": entry.run.path,
            "commit": entry.run.commit,
            "created": entry.run.result.created,
            "metric": value.metric,
            "judge": value.judge,
            "stage": value.stage,
            "value": value.value,
            "low": value.low,
            "high": value.high,
            "otherwise": board.otherwise(entry.run, key),
        }
        for key in keys
        for entry in board.entries(key)
        if (value := entry.value(key)) is not None
    ]


def _print(board: Board, keys: Sequence[Key]) -> None:
    """Print a board as a table, as wide as the terminal is."""
    if not keys:
        return
    from rich.table import Table

    from fsbench.cli.show import cell
    from fsbench.results import column

    console = terminal.console()
    about = board.newest.dataset
    title = f"{about.name} {about.revision[:8]}, {board.newest.protocol.n_pairs:,} pairs: {len(board.runs)} runs"
    console.print(terminal.cell(title, style="bold"))
    entries = board.entries(keys[0])
    shown = keys[: max(1, (console.width - 48) // 18)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "run", "commit", *(column(*key) for key in shown)):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        cells = []
        for key in shown:
            value = entry.value(key)
            other = value is not None and board.otherwise(entry.run, key)
            cells.append("otherwise" if other else cell(value, board.metrics[key.metric].digits) if value else "-")
        table.add_row(*map(terminal.cell, (entry.model.name, entry.run.path, entry.run.commit, *cells)))
    console.print(table)
    if len(shown) < len(keys):
        console.print(terminal.cell(f"{len(keys) - len(shown)} more numbers: --out leaderboard.html, or --json"))
