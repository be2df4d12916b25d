"""Pictures of outputs, chosen by rule. Thumbnails are re-encoded for the page; scores come from the lossless files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from fsbench.report.run import CONTESTANTS, Column, Run
from fsbench.report.tables import number
from fsbench.results import ModelRecord

THUMBNAIL = 128                                         # pixels, the longer edge
SPREAD, SPREAD_BASELINE, EXTREMES = 4, 2, 4             # rows per direction, the same for baselines, worst and best


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
    caption: str
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
        """Return one picture; `path` is below the run's folder."""
        return Picture(role, self.thumbnail(self.run.folder / path), alt)

    def inputs(self, row: pd.Series) -> tuple[Picture, Picture, Picture | None]:
        """Source, target and exact swap of a sample, which lie where its output's path says: outputs/MODEL/SOURCE/ID.png."""
        _, _, source, *image = PurePosixPath(str(row["output"])).parts
        exact = Path("inputs", "exact", source, *image)
        return (self.picture("source", Path("inputs", "source", f"{source}.png"), f"source: {row['source']}"),
                self.picture("target", Path("inputs", "target", *image), f"target: {row['identity']}, {row['session']}"),
                self.picture("exact", exact, f"exact swap of {row['source']} into {row['identity']}") if self.has_exact else None)

    def output(self, row: pd.Series) -> Picture:
        """The output of a sample."""
        return self.picture("output", Path(str(row["output"])), f"output of {row['model']}: {row['source']} into {row['identity']}")


def _thumbnail(path: Path) -> str:
    """Encode as JPEG in a data URI; "" where the file is missing or no image."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError):
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
    picks = [int(group[(len(group) - 1) * (2 * turn + 1) // (2 * rounds)]) for turn in range(rounds) for group in members]
    return sorted(dict.fromkeys(picks[:count]))


def galleries(run: Run, album: Album) -> list[Gallery]:
    """Return the pictures of each model, contestants first."""
    models = sorted(run.result.models, key=lambda model: model.kind not in CONTESTANTS)
    return [gallery for model in models if (gallery := _gallery(run, album, model)).groups]


def _gallery(run: Run, album: Album, model: ModelRecord) -> Gallery:
    rows = run.of(model.name)
    groups: list[tuple[str, tuple[Strip, ...]]] = []
    if rows.empty:
        return Gallery(model, ())
    column = next((c for c in run.columns if c.key in rows), None)
    count = SPREAD if model.kind in CONTESTANTS else SPREAD_BASELINE
    for source, part in rows.groupby("source", sort=False):
        chosen = part.iloc[spread(part["session"].astype(str).to_numpy(dtype=object), count)]
        groups.append((f"{source} into other people, evenly over sessions", _strips(album, chosen, column)))
    if column is not None and model.kind in CONTESTANTS:
        ordered = rows.dropna(subset=[column.key]).sort_values(column.key, kind="stable", ascending=column.metric.direction == "higher")
        n = min(EXTREMES, len(ordered) // 2)
        groups += [(f"Worst {n} by {column.metric.name}", _strips(album, ordered.head(n), column)),
                   (f"Best {n} by {column.metric.name}", _strips(album, ordered.tail(n)[::-1], column))] if n else []
    return Gallery(model, tuple(groups))


def _strips(album: Album, rows: pd.DataFrame, column: Column | None) -> tuple[Strip, ...]:
    strips = []
    for _, row in rows.iterrows():
        source, target, exact = album.inputs(row)
        pictures = (source, target, album.output(row), *((exact,) if exact else ()))
        strips.append(Strip(pictures, f"{row['session']}", _score(row, column)))
    return tuple(strips)


def _score(row: pd.Series, column: Column | None) -> str:
    if column is None:
        return ""
    value = row.get(column.key)
    return "not scored" if value is None or pd.isna(value) else number(float(value), column.metric.digits)


@dataclass(frozen=True)
class Comparison:
    """One pair as every model answered it."""

    inputs: tuple[Picture, ...]
    outputs: tuple[tuple[Picture, str], ...]            # one per model, with its score


def comparisons(run: Run, album: Album, per_direction: int = 3) -> list[Comparison]:
    """Return a few pairs side by side, taken from the first model's samples and found again in the others'."""
    tables = {model.name: run.of(model.name) for model in run.result.models}
    present = [name for name, table in tables.items() if not table.empty]
    if not present:
        return []
    first = tables[present[0]]
    column = next((c for c in run.columns if c.key in first), None)
    found = []
    for _, part in first.groupby("source", sort=False):
        for _, row in part.iloc[spread(part["session"].astype(str).to_numpy(dtype=object), per_direction)].iterrows():
            source, target, exact = album.inputs(row)
            answers = []
            for name in present:
                same = tables[name][(tables[name]["source"] == row["source"]) & (tables[name]["id"] == row["id"])]
                answers += [(Picture(name, (shown := album.output(answer)).uri, shown.alt), _score(answer, column)) for _, answer in same.head(1).iterrows()]
            found.append(Comparison((source, target, *((exact,) if exact else ())), tuple(answers)))
    return found
