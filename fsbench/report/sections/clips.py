"""Frames of clips side by side, and curves over them: how outputs move, beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from fsbench.numbers import number
from fsbench.report import curves, plots
from fsbench.report.page import Section
from fsbench.report.run import Column, Run
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.stats.ranking import CONTESTANTS

FRAMES = 8
"""Frames of a clip that are shown, evenly chosen but for the worst ones."""


@dataclass(frozen=True)
class FilmStrip:
    """Some frames of one clip as one model answered them."""

    title: str
    score: str
    targets: tuple[Picture, ...]
    outputs: tuple[Picture, ...]
    heads: tuple[
        str, ...
    ]  # of the frames: their places in the clip, from 1, and what the metric says of the worst ones
    worst: tuple[bool, ...]
    figures: tuple[Markup, ...]


def build(run: Run) -> dict[str, Any] | None:
    columns = [column for column in run.columns if column.metric.sample == "clip" and column.key in run.clips]
    if not columns:
        return None
    thumbnails, colours = Thumbnails(run), plots.colours(run)
    strips = []
    for model in ordered(run):
        if model.kind in CONTESTANTS:
            rows = run.clips[run.clips["model"] == model.name].dropna(subset=[columns[0].key])
            if len(rows):
                rising = columns[0].metric.direction == "higher"
                worst = rows.sort_values(columns[0].key, kind="stable", ascending=rising).iloc[0]
                strips.append(_strip(run, thumbnails, worst, columns[0], colours[model.name]))
    return {"strips": strips, "column": columns[0]} if strips else None


def _strip(run: Run, thumbnails: Thumbnails, row: pd.Series[Any], column: Column, colour: str) -> FilmStrip:
    n = min(len(row["targets"]), len(row["outputs"]))
    title = f"{row['model']}: {row['source']} into {row['identity']}, {row['session']}, {row['clip']}"
    known = [curve for curve in curves.of_clip(run, row) if len(curve.values) == n]
    own = next((curve for curve in known if curve.column == column), None)
    worst = {} if own is None else {int(k): number(float(own.values[k]), column.metric.digits) for k in own.worst}
    even = np.linspace(0, n - 1, min(n, max(1, FRAMES - len(worst)))).round().astype(int)
    chosen = np.unique([*even, *worst]).astype(int)
    targets, outputs = (
        tuple(thumbnails.picture(role, Path(row[f"{role}s"][k]), f"{role}, frame {k + 1} of {n}") for k in chosen)
        for role in ("target", "output")
    )
    return FilmStrip(
        title,
        number(float(row[column.key]), column.metric.digits),
        targets,
        outputs,
        tuple(f"{k + 1}: {worst[k]}" if k in worst else f"{k + 1}" for k in chosen),
        tuple(k in worst for k in chosen),
        tuple(curve.figure(title, colour) for curve in known),
    )


SECTIONS = (Section("clips", "Clips", build, "run/clips.html.j2"),)
