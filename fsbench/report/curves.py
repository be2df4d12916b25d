"""Curves of metrics over the frames of a clip, with its worst frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report import plots
from fsbench.report.run import Column, Run

WORST = 3
"""Frames of a clip that are marked as the worst ones."""

CLIP = ["model", "source", "identity", "session", "clip"]


@dataclass(frozen=True)
class FrameCurve:
    """Numbers of one metric over the frames of a clip."""

    column: Column
    values: np.ndarray  # (N,) NaN where there is none

    @property
    def worst(self) -> np.ndarray:
        """Places of the worst frames, in their order."""
        known = np.flatnonzero(np.isfinite(self.values))
        sign = -1 if self.column.metric.direction == "lower" else 1
        return np.sort(known[np.argsort(sign * self.values[known], kind="stable")][:WORST])

    def figure(self, title: str, colour: str) -> Markup:
        """The curve as a small figure, the worst frames as dots; frames are counted from 1."""

        def draw(axes: Axes) -> None:
            axes.plot(np.arange(len(self.values)) + 1, self.values, color=colour, linewidth=1)
            axes.plot(self.worst + 1, self.values[self.worst], "o", color=colour, markersize=4)
            axes.set_title(self.column.key, fontsize=9, loc="left")
            axes.set_ylabel(self.column.metric.unit)
            axes.set_xlabel("frame")
            axes.margins(x=0.02)

        at = ", ".join(f"{k + 1}" for k in self.worst)
        return plots.render(draw, (plots.WIDTH, 1.3), f"{self.column.key} over the frames of {title}; worst at {at}")


def of_clip(run: Run, row: pd.Series[Any]) -> list[FrameCurve]:
    """The curves of the clip that a row of clips.parquet is about."""
    if run.frames.empty:
        return []
    same = (run.frames[CLIP] == [row[name] for name in CLIP]).all(axis=1)
    own = run.frames[same]
    columns = [column for column in run.columns if column.key in own and own[column.key].notna().any()]
    return [FrameCurve(column, own[column.key].to_numpy(float)) for column in columns]
