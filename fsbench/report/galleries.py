"""Pictures of outputs, chosen by rule. Thumbnails are re-encoded for the page; scores come from the lossless files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fsbench.files import read
from fsbench.report.reading import LARGEST_PICTURE, MOST_PIXELS, inside
from fsbench.report.run import Column, Run
from fsbench.report.tables import number
from fsbench.results import ModelRecord
from fsbench.stats.ranking import CONTESTANTS

THUMBNAIL = 128  # pixels, the longer edge
SPREAD, SPREAD_BASELINE = 4, 2  # rows per direction of a contestant and of a baseline
EXTREMES = 4  # worst and best rows
COMPARED = 3  # rows per direction in the table of all models


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, empty where the file is missing."""

    role: str
    uri: str
    alt: str


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


class Album:
    """Finds and encodes the pictures of a run, each file once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.has_exact = (run.folder / "inputs" / "exact").is_dir()
        self.thumbnail = cache(_thumbnail)

    def picture(self, role: str, path: Path, alt: str) -> Picture:
        """Return one picture; `path` is below the run's folder, and what leads out of it is not shown."""
        found = inside(self.run.folder, path)
        return Picture(role, self.thumbnail(found) if found is not None else "", alt)

    def inputs(self, row: pd.Series[Any]) -> tuple[Picture, ...]:
        """Source, target and, where known, exact swap of a sample; the path of its output says where the latter lie."""
        _, _, folder, *image = (*PurePosixPath(str(row["output"])).parts, "", "", "", "")  # outputs/MODEL/SOURCE/ID.png
        pair = f"{row['source']} into {row['identity']}"
        pictures = [
            self.picture("source", Path("inputs", "source", f"{row['source']}.png"), f"source: {row['source']}"),
            self.picture("target", Path("inputs", "target", *image), f"target: {row['identity']}, {row['session']}"),
        ]
        if self.has_exact:
            pictures.append(self.picture("exact", Path("inputs", "exact", folder, *image), f"exact swap of {pair}"))
        return tuple(pictures)

    def output(self, row: pd.Series[Any], role: str = "output") -> Picture:
        """The output of a sample."""
        alt = f"output of {row['model']}: {row['source']} into {row['identity']}"
        return self.picture(role, Path(str(row["output"])), alt)


def _thumbnail(path: Path) -> str:
    """Encode as JPEG in a data URI; "" where the file is missing, larger than fsbench writes, or no PNG."""
    try:
        content = read(path, LARGEST_PICTURE)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return ""
            small = image.convert("RGB")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise errors of many kinds for damaged files
        return ""
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


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


def galleries(run: Run, album: Album, models: Sequence[ModelRecord]) -> list[Gallery]:
    """Return the pictures of each model that has samples."""
    return [gallery for model in models if (gallery := _gallery(run, album, model)).groups]


def _gallery(run: Run, album: Album, model: ModelRecord) -> Gallery:
    rows = run.of(model.name)
    if rows.empty:
        return Gallery(model, ())
    column = run.headline
    contestant = model.kind in CONTESTANTS
    groups = []
    for source, part in _by_source(run, rows):
        chosen = part.iloc[_spread_over_sessions(part, SPREAD if contestant else SPREAD_BASELINE)]
        groups.append((f"{source} into other people, evenly over sessions", _strips(album, chosen, column)))
    if column is not None and contestant:
        rising = column.metric.direction == "higher"
        ordered = rows.dropna(subset=[column.key]).sort_values(column.key, kind="stable", ascending=rising)
        n = min(EXTREMES, len(ordered) // 2)
        for word, extreme in (("Worst", ordered.head(n)), ("Best", ordered.tail(n)[::-1])) if n else ():
            groups.append((f"{word} {n} by {column.metric.name}", _strips(album, extreme, column)))
    return Gallery(model, tuple(groups))


def _by_source(run: Run, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Samples of each source person that is shown."""
    parts = ((name, rows[rows["source"] == name]) for name in run.sources)
    return [(name, part) for name, part in parts if len(part)]


def _spread_over_sessions(rows: pd.DataFrame, count: int) -> list[int]:
    return spread(rows["session"].astype(str).to_numpy(dtype=object), count)


def _strips(album: Album, rows: pd.DataFrame, column: Column | None) -> tuple[Strip, ...]:
    strips = []
    for _, row in rows.iterrows():
        source, target, *exact = album.inputs(row)
        strips.append(Strip((source, target, album.output(row), *exact), str(row["session"]), _score(row, column)))
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


def comparisons(run: Run, album: Album, models: Sequence[ModelRecord]) -> list[Comparison]:
    """Return a few pairs side by side, chosen among the first model's samples and found again in the others'."""
    tables = {model.name: table for model in models if not (table := run.of(model.name)).empty}
    if not tables:
        return []
    first = next(iter(tables.values()))
    found = []
    for _, part in _by_source(run, first):
        for _, row in part.iloc[_spread_over_sessions(part, COMPARED)].iterrows():
            answers = []
            for name, table in tables.items():
                same = table[(table["source"] == row["source"]) & (table["id"] == row["id"])]
                answers += [(album.output(one, name), _score(one, run.headline)) for _, one in same.head(1).iterrows()]
            found.append(Comparison(album.inputs(row), tuple(answers)))
    return found
