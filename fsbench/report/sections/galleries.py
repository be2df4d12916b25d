"""Pictures of outputs, chosen by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fsbench.numbers import number
from fsbench.report import budget, samples
from fsbench.report.page import Section
from fsbench.report.run import Column, RunContents
from fsbench.report.samples import Pair
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.results import ModelRecord
from fsbench.sampling import evenly
from fsbench.stats.ranking import CONTESTANTS

ROWS, ROWS_BASELINE = 4, 2  # by each rule, of a contestant and of a baseline
RULES = 3  # by which pictures of a contestant are chosen, beside those of each source person and where judges differ
EDGES = (96, 64)  # pixels of smaller thumbnails, for where one row by each rule is too much
COMPARED = 3  # rows per direction in the table of all models
FIRST = 4  # of these, rows that stand in the brief
TABLE = 0.25  # share of the section's bytes that this table may take
INPUTS = 3  # source, target and exact swap


@dataclass(frozen=True)
class Strip:
    """One sample: source, target, output and, where known, the exact swap."""

    pair: Pair
    pictures: tuple[Picture, ...]
    session: str
    score: str

    @property
    def key(self) -> str:
        """What the page calls the pair."""
        return samples.key_of(*self.pair)


@dataclass(frozen=True)
class StripGroup:
    """Strips that were chosen by one rule."""

    rule: str  # evenly, worst, best, at random, judges disagree
    title: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Gallery:
    """Strips of one model in groups."""

    model: ModelRecord
    groups: tuple[StripGroup, ...]


def spread(sessions: np.ndarray, count: int) -> list[int]:
    """Choose up to `count` positions, evenly over sessions and within each.

    >>> spread(np.array(["a", "a", "a", "b", "c"]), 3)
    [1, 3, 4]
    """
    members = [np.flatnonzero(sessions == name) for name in sorted(set(sessions))]
    if not members or count < 1:
        return []
    if len(members) > count:
        members = [members[i] for i in evenly(len(members), count)]
    rounds = -(-count // len(members))
    fractions = [(2 * turn + 1) / (2 * rounds) for turn in range(rounds)]
    picks = [int(group[int((len(group) - 1) * fraction)]) for fraction in fractions for group in members]
    return sorted(dict.fromkeys(picks[:count]))


def build(run: RunContents, room: int) -> dict[str, Any]:
    """Give `room` bytes to the table of all models, and to galleries, which have what that leaves."""
    thumbnails = Thumbnails(run)
    _, n_first = _table_size(thumbnails, budget.BRIEF)
    more = comparisons(thumbnails, TABLE * room, slice(min(FIRST, n_first), None))
    room -= round(sum(thumbnails.n_bytes * (len(row.inputs) + len(row.outputs)) for row in more))
    shown = galleries(thumbnails, _with_samples(run), room)
    strips = (strip for gallery in shown for group in gallery.groups for strip in group.strips)
    pairs = [*(strip.pair for strip in strips), *(comparison.pair for comparison in more)]
    content = {"comparisons": more, "galleries": shown, "numbers": samples.of_run(run, pairs)}
    n_left_out = len(_with_samples(run)) - len(shown)
    return content | {"has_truth": has_truth(run, thumbnails), "n_left_out": n_left_out}


def first(run: RunContents) -> dict[str, Any]:
    """Return the pairs that stand in the brief."""
    thumbnails = Thumbnails(run)
    shown = comparisons(thumbnails, budget.BRIEF, slice(FIRST))
    told = samples.of_run(run, (comparison.pair for comparison in shown))
    n_models_left_out = len(_with_samples(run)) - len(shown[0].outputs) if shown else 0
    content = {"comparisons": shown, "numbers": told, "n_models_left_out": n_models_left_out}
    return content | {"has_truth": has_truth(run, thumbnails)}


def has_truth(run: RunContents, thumbnails: Thumbnails) -> bool:
    """Whether the exact swaps are shown apart: a ceiling's outputs are them, no need to show these twice."""
    return thumbnails.has_exact and all(model.kind != "ceiling" for model in run.result.models)


def _with_samples(run: RunContents) -> list[ModelRecord]:
    return [model for model in ordered(run) if not run.of(model.name).empty]


def galleries(thumbnails: Thumbnails, models: Sequence[ModelRecord], room: float) -> list[Gallery]:
    """Return the pictures of models that have samples, for about `room` bytes.

    There are as many rows by each rule as that lets be; where it lets not even one be, thumbnails are smaller, and then
    the last models are left out.
    """
    if not models:
        return []
    run = thumbnails.run
    numbers = samples.NUMBER_BYTES * len(run.result.models) * sum(column.key in run.samples for column in run.columns)
    for size, count in _sizes(thumbnails):
        n = np.cumsum([_n_strips(run, model, count) for model in models])
        needs = n * (INPUTS + size.has_exact) * size.n_bytes + np.minimum(n, len(run.of(models[0].name))) * numbers
        if needs[-1] <= room:
            break
    return [_gallery(size, model, count) for model, need in zip(models, needs, strict=True) if need <= room]


def _sizes(thumbnails: Thumbnails) -> Iterator[tuple[Thumbnails, int]]:
    """Thumbnails and rows by each rule, the most first."""
    yield from ((thumbnails, count) for count in range(ROWS, 0, -1))
    yield from ((Thumbnails(thumbnails.run, edge), 1) for edge in EDGES)


def _n_strips(run: RunContents, model: ModelRecord, count: int) -> int:
    """How many samples of a model are shown, at most."""
    if model.kind not in CONTESTANTS:
        return min(count, ROWS_BASELINE) * len(run.sources)
    return count * (len(run.sources) + RULES + (len(run.judges) > 1))


def _gallery(thumbnails: Thumbnails, model: ModelRecord, count: int) -> Gallery:
    run = thumbnails.run
    rows = run.of(model.name)
    contestant, column = model.kind in CONTESTANTS, run.headline
    groups = []
    for source, part in _by_source(run, rows):
        chosen = part.iloc[_spread_over_sessions(part, count if contestant else min(count, ROWS_BASELINE))]
        title = f"{source} into other people, evenly over sessions"
        groups.append(StripGroup("evenly", title, _strips(thumbnails, chosen, [column])))
    if column is not None and contestant:
        groups += [StripGroup(rule, title, _strips(thumbnails, chosen, columns))
                   for rule, title, chosen, columns in _chosen(run, rows, column, count) if len(chosen)]  # fmt: skip
    return Gallery(model, tuple(groups))


def _chosen(
    run: RunContents, rows: pd.DataFrame, column: Column, count: int
) -> Iterator[tuple[str, str, pd.DataFrame, Sequence[Column]]]:
    """Rows of a contestant by rule, with the columns whose numbers stand under them."""
    rising = column.metric.direction == "higher"
    by_score = rows.dropna(subset=[column.key]).sort_values(column.key, kind="stable", ascending=rising)
    n = min(count, len(by_score) // 2)
    yield "worst", f"Worst {n} by {column.metric.name}", by_score.head(n), [column]
    yield "best", f"Best {n} by {column.metric.name}", by_score.tail(n)[::-1], [column]
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    yield "at random", f"{len(drawn)} at random", rows.iloc[drawn], [column]
    same = (other for other in run.columns if (other.metric, other.stage) == (column.metric, column.stage))
    judges = [other for other in same if other.judge not in run.result.unfit and other.key in rows]
    both = rows.dropna(subset=[other.key for other in judges])
    places = both[[other.key for other in judges]].rank(pct=True)
    apart = (places.max(axis=1) - places.min(axis=1)).sort_values(kind="stable", ascending=False)
    disputed = both.loc[apart[apart > 0].index[:count]]
    yield "judges disagree", f"{len(disputed)} that judges place most differently", disputed, judges


def _by_source(run: RunContents, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Samples of each source person that is shown."""
    parts = ((name, rows[rows["source"] == name]) for name in run.sources)
    return [(name, part) for name, part in parts if len(part)]


def _spread_over_sessions(rows: pd.DataFrame, count: int) -> list[int]:
    return spread(rows["session"].astype(str).to_numpy(dtype=object), count)


def _strips(thumbnails: Thumbnails, rows: pd.DataFrame, columns: Sequence[Column | None]) -> tuple[Strip, ...]:
    strips = []
    for _, row in rows.iterrows():
        source, target, *exact = thumbnails.inputs(row)
        pictures, pair = (source, target, thumbnails.output(row), *exact), (str(row["source"]), str(row["id"]))
        score = ", ".join(_score(row, column, named=len(columns) > 1) for column in columns)
        strips.append(Strip(pair, pictures, str(row["session"]), score))
    return tuple(strips)


def _score(row: pd.Series[Any], column: Column | None, named: bool = False) -> str:
    """Print one sample's row of a metric, with its judge where it stands beside that of others."""
    if column is None:
        return ""
    value = row.get(column.key)
    text = "not scored" if value is None or pd.isna(value) else number(float(value), column.metric.digits)
    return f"{column.judge} {text}" if named else text


@dataclass(frozen=True)
class Comparison:
    """One pair as every model answered it."""

    pair: Pair
    inputs: tuple[Picture, ...]
    outputs: tuple[tuple[Picture, str], ...]  # one per model, with its score

    @property
    def key(self) -> str:
        """What the page calls the pair."""
        return samples.key_of(*self.pair)


def comparisons(thumbnails: Thumbnails, room: float, part: slice) -> list[Comparison]:
    """Return a part of a few pairs side by side, for `room` bytes; the first one of each source person comes first.

    They are chosen among the first model's samples and found again in the others'. The last pairs are left out where
    there is no room for all, and the last models where there is none for all of one pair.
    """
    run = thumbnails.run
    n_models, n_pairs = _table_size(thumbnails, room)
    tables = {model.name: run.of(model.name) for model in _with_samples(run)[:n_models]}
    if not tables:
        return []
    first = next(iter(tables.values()))
    by_source = [rows.iloc[_spread_over_sessions(rows, COMPARED)] for _, rows in _by_source(run, first)]
    turns = [rows.iloc[[turn]] for turn in range(COMPARED) for rows in by_source if turn < len(rows)]
    pairs = [row for rows in turns for _, row in rows.iterrows()]
    return [_comparison(thumbnails, tables, row) for row in pairs[part][:n_pairs]]


def _table_size(thumbnails: Thumbnails, room: float) -> tuple[int, int]:
    """Number of models and of pairs that there is room for."""
    n_pictures = int(room / thumbnails.n_bytes)
    n_models = min(len(_with_samples(thumbnails.run)), max(0, n_pictures - INPUTS))
    return n_models, n_pictures // (INPUTS + n_models)


def _comparison(thumbnails: Thumbnails, tables: Mapping[str, pd.DataFrame], row: pd.Series[Any]) -> Comparison:
    outputs = [
        (thumbnails.output(sample, name), _score(sample, thumbnails.run.headline))
        for name, table in tables.items()
        for _, sample in table[(table["source"] == row["source"]) & (table["id"] == row["id"])].head(1).iterrows()
    ]
    return Comparison((str(row["source"]), str(row["id"])), thumbnails.inputs(row), tuple(outputs))


SECTIONS = (Section("galleries", "Pictures", build, "run/galleries.html.j2"),)
