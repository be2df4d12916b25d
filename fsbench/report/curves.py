"""Curves of metrics over the frames of a clip, with its worst seconds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report import plots
from fsbench.report.run import Column, RunContents

RATE = 25.0
"""Frames a second of a clip whose data set does not tell it."""

WORST = 3
"""Seconds of a clip that are marked as the worst ones, at most."""

CLIP = ["model", "source", "identity", "session", "clip"]


@dataclass(frozen=True)
class Second:
    """About a second of a clip, in which a metric is worse than in the clip as a whole."""

    start: int  # frames from this place
    stop: int  # to before this one
    value: float  # mean over its frames


@dataclass(frozen=True)
class FrameCurve:
    """Numbers of one metric over the frames of a clip."""

    column: Column
    values: np.ndarray  # (N,) NaN where there is none
    rate: float = RATE  # frames a second

    @property
    def worst(self) -> tuple[Second, ...]:
        """The worst seconds, the worst first; they do not overlap. Of a short clip, quarters of it."""
        n = len(self.values)
        length = max(1, min(round(self.rate), n // 4))
        known = np.isfinite(self.values)
        counts, sums = (np.convolve(numbers, np.ones(length), "valid")
                        for numbers in (known.astype(float), np.where(known, self.values, 0)))  # fmt: skip
        sign = -1 if self.column.metric.direction == "higher" else 1
        enough = counts > length / 2
        badness = np.where(enough, sign * sums / np.maximum(counts, 1), -np.inf)
        whole = sign * self.values[known].mean() if known.any() else np.inf
        chosen: list[Second] = []
        while len(chosen) < WORST and badness.max(initial=-np.inf) > whole + 1e-9 * abs(whole):
            start = int(badness.argmax())
            chosen.append(Second(start, start + length, float(sums[start] / counts[start])))
            badness[max(0, start - length + 1) : start + length] = -np.inf
        return tuple(chosen)


@dataclass(frozen=True)
class ClipCurves:
    """What is known of the frames of one clip."""

    numbers: tuple[int, ...]  # in the data set's own count, (N,)
    curves: tuple[FrameCurve, ...]  # of metrics that have any number


def of_run(run: RunContents) -> Mapping[Hashable, ClipCurves]:
    """What is known of the frames of each clip of each model, by its names in the columns CLIP."""
    if run.frames.empty:
        return {}
    numbers = run.frames["frame"].fillna(0).to_numpy(np.int64)
    values = [(column, run.frames[column.key].to_numpy(float)) for column in run.columns if column.key in run.frames]
    return {
        names: ClipCurves(
            tuple(numbers[rows].tolist()),
            tuple(FrameCurve(column, own[rows]) for column, own in values if np.isfinite(own[rows]).any()),
        )
        for names, rows in run.frames.groupby(CLIP, sort=False).indices.items()
    }


def figure(title: str, curves: Sequence[tuple[FrameCurve, str]]) -> Markup:
    """Curves of one metric in a colour each, their worst seconds shaded; frames are counted from 1."""
    column = curves[0][0].column

    def draw(axes: Axes) -> None:
        for curve, colour in curves:
            axes.plot(np.arange(len(curve.values)) + 1, curve.values, color=colour, linewidth=1)
            for second in curve.worst:
                axes.axvspan(second.start + 0.5, second.stop + 0.5, color=colour, alpha=0.12, linewidth=0)
        axes.set_title(column.key, fontsize=9, loc="left")
        axes.set_ylabel(column.metric.unit)
        axes.set_xlabel("frame")
        axes.margins(x=0.02)

    return plots.render(draw, (plots.WIDTH, 1.4), f"{column.key} over the frames of {title}")
