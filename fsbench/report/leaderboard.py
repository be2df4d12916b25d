"""The page of all runs of a folder: a table for each data set and protocol, and how models changed.

A pure function of the runs' results, free of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.leaderboard import Board, BoardEntry, FinishedRun, Leaderboard
from fsbench.numbers import ARROWS, number
from fsbench.report import page
from fsbench.report.page import Section
from fsbench.report.plots import ACCENTS, WIDTH, render, short
from fsbench.report.tables import GROUPS, interval
from fsbench.results import Key, Value, column
from fsbench.store import write_text

By = Literal["run", "commit"]

MOST_POINTS = 60
"""Runs of a model that a figure shows, the newest ones."""


def write(boards: Leaderboard, path: Path, metrics: Sequence[str] = (), by: By = "run") -> Path:
    """Write the page, atomically, and return its path; with figures of each model over its commits where asked."""
    environment = page.environment()
    sections = [
        Section(f"board-{n}", title_of(board), partial(_board, metrics=metrics, by=by), "leaderboard/board.html.j2")
        for n, board in enumerate(boards.boards, 1)
    ]
    rendered = [
        section
        for one, board in zip(sections, boards.boards, strict=True)
        for section in page.render([one], board, environment)
    ]
    html = environment.get_template("leaderboard/page.html.j2").render(
        sections=rendered,
        n_runs=sum(len(board.runs) for board in boards.boards),
        board_count=len(boards.boards),
        unread=boards.unread,
        style=page.text("style.css"),
        script=page.script(),
    )
    write_text(path, html)
    return path


def title_of(board: Board) -> str:
    """Data set, its revision, and where metrics look."""
    about, protocol = board.newest.dataset, board.newest.protocol
    return f"{about.name} {about.revision[:8]}, {protocol.n_pairs:,} pairs, {protocol.stage}s of {about.size} px"


def _board(board: Board, metrics: Sequence[str], by: By) -> dict[str, Any] | None:
    keys = board.shown(metrics)
    if not keys:
        return None
    entries = board.entries(keys[0])
    kinds = {kind: group for group, of in GROUPS.items() for kind in of}
    groups = [
        (group, [_row(board, entry, keys) for entry in entries if kinds.get(entry.model.kind) == group])
        for group in GROUPS
    ]
    about, protocol = board.newest.dataset, board.newest.protocol
    return {
        "title": title_of(board),
        "facts": {"data set": about.description, "pairing": protocol.pairing, "outputs": protocol.outputs,
                  "runs": len(board.runs)},
        "heads": [
            {"name": column(*key), "metric": (metric := board.metrics[key.metric]), "arrow": ARROWS[metric.direction]}
            for key in keys
        ],
        "groups": [(group, rows) for group, rows in groups if rows],
        "figures": _figures(board, keys[0]) if by == "commit" else [],
        "otherwise": _otherwise(board, keys[0]) if by == "commit" else {},
    }  # fmt: skip


def _row(board: Board, entry: BoardEntry, keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "name": entry.model.name,
        "run": entry.run.path,
        "commit": entry.run.commit,
        "date": entry.run.result.created[:10],
        "day": _seconds(entry.run),
        "n_older": entry.n_older,
        "cells": [_cell(board, entry, key) for key in keys],
    }


def _cell(board: Board, entry: BoardEntry, key: Key) -> dict[str, Any]:
    """A value as printed; without one, or measured otherwise than on this board, the reason."""
    value = entry.value(key)
    if value is None or value.value is None:
        return {"text": "", "reason": ""}
    if differing := board.otherwise(entry.run, key):
        return {"text": "", "reason": f"measured otherwise: {differing}"}
    digits = board.metrics[key.metric].digits
    failed = f"{value.n_failed} of {value.n_total} failed" if value.n_failed else ""
    return {"text": number(value.value, digits), "value": value.value, "low": value.low, "high": value.high,
            "interval": interval(value, digits), "failed": failed}  # fmt: skip


def _figures(board: Board, key: Key) -> list[tuple[str, Markup]]:
    """A line for each model that several runs measured."""
    return [
        (f"{name}: {column(*key)}", _line(board, name, key, points[-MOST_POINTS:]))
        for name, points in sorted(board.history(key).items())
    ]


def _otherwise(board: Board, key: Key) -> dict[str, list[str]]:
    """Runs that stand in no figure, by what they did otherwise."""
    reasons: dict[str, list[str]] = {}
    for run in board.runs:
        if any(value.key == key for value in run.result.values) and (why := board.otherwise(run, key)):
            reasons.setdefault(why, []).append(run.path)
    return reasons


def _line(board: Board, name: str, key: Key, points: Sequence[tuple[FinishedRun, Value]]) -> Markup:
    metric = board.metrics[key.metric]
    at = range(len(points))
    reached = [float(value.value or 0.0) for _, value in points]

    def draw(axes: Axes) -> None:
        for x, (_, value) in zip(at, points, strict=True):
            if value.low is not None and value.high is not None:
                axes.plot([x, x], [value.low, value.high], color=ACCENTS[0], linewidth=3, alpha=0.4)
        axes.plot(at, reached, "o-", color=ACCENTS[0], markersize=5, linewidth=1)
        step = max(1, len(points) // 8)
        axes.set_xticks(list(at)[::step], [_label(run) for run, _ in points][::step], rotation=30, ha="right")
        axes.set_ylabel(f"{metric.name}{f' ({metric.unit})' if metric.unit else ''}")

    alt = f"{short(name)}: {column(*key)} of {len(points)} runs, from {reached[0]:.3g} to {reached[-1]:.3g}"
    return render(draw, (1.6 * WIDTH, 2.4), alt)


def _label(run: FinishedRun) -> str:
    return run.commit or run.result.created[:10]


def _seconds(run: FinishedRun) -> float:
    """When a run was made, as a number that sorts; 0 where its date is none."""
    try:
        return datetime.fromisoformat(run.result.created).timestamp()
    except ValueError:
        return 0.0
