"""Frames of clips side by side: how outputs move, beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fsbench.numbers import number
from fsbench.report.page import Section
from fsbench.report.run import Column, Run
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.stats.ranking import CONTESTANTS

FRAMES = 8
"""Frames of a clip that are shown, evenly chosen."""


@dataclass(frozen=True)
class FilmStrip:
    """Some frames of one clip as one model answered them."""

    title: str
    score: str
    targets: tuple[Picture, ...]
    outputs: tuple[Picture, ...]


def build(run: Run) -> dict[str, Any] | None:
    columns = [column for column in run.columns if column.metric.sample == "clip" and column.key in run.clips]
    if not columns:
        return None
    thumbnails = Thumbnails(run)
    strips = []
    for model in ordered(run):
        if model.kind in CONTESTANTS:
            rows = run.clips[run.clips["model"] == model.name].dropna(subset=[columns[0].key])
            if len(rows):
                rising = columns[0].metric.direction == "higher"
                worst = rows.sort_values(columns[0].key, kind="stable", ascending=rising).iloc[0]
                strips.append(_strip(thumbnails, worst, columns[0]))
    return {"strips": strips, "column": columns[0]} if strips else None


def _strip(thumbnails: Thumbnails, row: pd.Series[Any], column: Column) -> FilmStrip:
    n = min(len(row["targets"]), len(row["outputs"]))
    chosen = np.unique(np.linspace(0, n - 1, min(n, FRAMES)).round().astype(int))
    targets, outputs = (
        tuple(thumbnails.picture(role, Path(row[f"{role}s"][k]), f"{role}, frame {k + 1} of {n}") for k in chosen)
        for role in ("target", "output")
    )
    title = f"{row['model']}: {row['source']} into {row['identity']}, {row['session']}, {row['clip']}"
    return FilmStrip(title, number(float(row[column.key]), column.metric.digits), targets, outputs)


SECTIONS = (Section("clips", "Clips", build, "run/clips.html.j2"),)
