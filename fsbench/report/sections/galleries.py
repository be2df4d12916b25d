"""Pictures of outputs, chosen by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fsbench.numbers import number
from fsbench.report.page import Section
from fsbench.report.run import Column, Run
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.results import ModelRecord
from fsbench.stats.ranking import CONTESTANTS

SPREAD, SPREAD_BASELINE = 4, 2  # rows per direction of a contestant and of a baseline
EXTREMES = 4  # worst and best rows
COMPARED = 3  # rows per direction in the table of all models


@dataclass(frozen=True)
class Strip:
    """One sample: source, target, output and, where known, the exact swap."""

    pictures: tuple[Picture, ...]
    session: str
    score: str


@dataclass(frozen=True)
class Gallery:
    """Strips of one model in named groups."""

    model: ModelRecord
    groups: tuple[tuple[str, tuple[Strip, ...]], ...]


def spread(sessions: np.ndarray, count: int) -> list[int]:
    """Choose up to `count` positions, evenly over sessions and within each.

    >>> spread(np.array(["a", "a", "a", "b", "c"]), 3)
    [1, 3, 4]
    """
    members = [np.flatnonzero(sessions == name) for name in sorted(set(sessions))]
    if not members or count < 1:
        return []
    if len(members) > count:
        members = [members[i] for i in np.linspace(0, len(members) - 1, count).round().astype(int)]
    rounds = -(-count // len(members))
    fractions = [(2 * turn + 1) / (2 * rounds) for turn in range(rounds)]
    picks = [int(group[int((len(group) - 1) * fraction)]) for fraction in fractions for group in members]
    return sorted(dict.fromkeys(picks[:count]))


def build(run: Run) -> dict[str, Any]:
    models, thumbnails = ordered(run), Thumbnails(run)
    return {"comparisons": comparisons(run, thumbnails, models), "galleries": galleries(run, thumbnails, models)}


def galleries(run: Run, thumbnails: Thumbnails, models: Sequence[ModelRecord]) -> list[Gallery]:
    """Return the pictures of each model that has samples."""
    return [gallery for model in models if (gallery := _gallery(run, thumbnails, model)).groups]


def _gallery(run: Run, thumbnails: Thumbnails, model: ModelRecord) -> Gallery:
    rows = run.of(model.name)
    if rows.empty:
        return Gallery(model, ())
    column = run.headline
    contestant = model.kind in CONTESTANTS
    groups = []
    for source, part in _by_source(run, rows):
        chosen = part.iloc[_spread_over_sessions(part, SPREAD if contestant else SPREAD_BASELINE)]
        groups.append((f"{source} into other people, evenly over sessions", _strips(thumbnails, chosen, column)))
    if column is not None and contestant:
        rising = column.metric.direction == "higher"
        by_score = rows.dropna(subset=[column.key]).sort_values(column.key, kind="stable", ascending=rising)
        n = min(EXTREMES, len(by_score) // 2)
        for word, extreme in (("Worst", by_score.head(n)), ("Best", by_score.tail(n)[::-1])) if n else ():
            groups.append((f"{word} {n} by {column.metric.name}", _strips(thumbnails, extreme, column)))
    return Gallery(model, tuple(groups))


def _by_source(run: Run, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Samples of each source person that is shown."""
    parts = ((name, rows[rows["source"] == name]) for name in run.sources)
    return [(name, part) for name, part in parts if len(part)]


def _spread_over_sessions(rows: pd.DataFrame, count: int) -> list[int]:
    return spread(rows["session"].astype(str).to_numpy(dtype=object), count)


def _strips(thumbnails: Thumbnails, rows: pd.DataFrame, column: Column | None) -> tuple[Strip, ...]:
    strips = []
    for _, row in rows.iterrows():
        source, target, *exact = thumbnails.inputs(row)
        strips.append(Strip((source, target, thumbnails.output(row), *exact), str(row["session"]), _score(row, column)))
    return tuple(strips)


def _score(row: pd.Series[Any], column: Column | None) -> str:
    """Print one sample's row of the headline metric."""
    if column is None:
        return ""
    value = row.get(column.key)
    return "not scored" if value is None or pd.isna(value) else number(float(value), column.metric.digits)


@dataclass(frozen=True)
class Comparison:
    """One pair as every model answered it."""

    inputs: tuple[Picture, ...]
    outputs: tuple[tuple[Picture, str], ...]  # one per model, with its score


def comparisons(run: Run, thumbnails: Thumbnails, models: Sequence[ModelRecord]) -> list[Comparison]:
    """Return a few pairs side by side, chosen among the first model's samples and found again in the others'."""
    tables = {model.name: table for model in models if not (table := run.of(model.name)).empty}
    if not tables:
        return []
    first = next(iter(tables.values()))
    chosen = []
    for _, part in _by_source(run, first):
        for _, row in part.iloc[_spread_over_sessions(part, COMPARED)].iterrows():
            outputs = []
            for name, table in tables.items():
                same = table[(table["source"] == row["source"]) & (table["id"] == row["id"])].head(1)
                outputs += [(thumbnails.output(sample, name), _score(sample, run.headline))
                            for _, sample in same.iterrows()]  # fmt: skip
            chosen.append(Comparison(thumbnails.inputs(row), tuple(outputs)))
    return chosen


SECTIONS = (Section("galleries", "Pictures", build, "run/galleries.html.j2"),)
