"""Curves over the frames of clips, and the frames that stand in a film strip."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fsbench.report import curves
from fsbench.report.curves import FrameCurve
from fsbench.report.run import Column
from fsbench.report.sections import clips
from fsbench.results import MetricRecord

NAMES = {"model": "m", "source": "a", "identity": "b", "session": "s0", "clip": "c0"}


def column(name: str = "jitter", direction: str = "lower") -> Column:
    return Column(MetricRecord(name=name, summary="-", unit="%", direction=direction, digits=2, no_face="-",
                               reference="-", group="temporal", sample="clip"), None)  # fmt: skip


def run_of(**columns: list[float]) -> Any:
    """Two clips, of which the second is another person's, in shuffled order of clips."""
    n = len(next(iter(columns.values())))
    table = pd.DataFrame({**NAMES, "id": "x", "frame": range(n), **columns})
    other = table.assign(source="z", **dict.fromkeys(columns, 99.0))
    return SimpleNamespace(
        frames=pd.concat([other, table], ignore_index=True),
        columns=[column(name) for name in ("jitter", "flicker", "lag") if name in (*columns, "lag")],
    )


@pytest.mark.parametrize(("direction", "worst"), [("lower", [1, 4, 5]), ("higher", [0, 2, 6])])
def test_the_worst_frames_are_found_and_stand_in_their_order(direction: str, worst: list[int]) -> None:
    values = np.array([0.0, 5, 1, np.nan, 7, 6, 2])
    assert FrameCurve(column(direction=direction), values).worst.tolist() == worst
    assert FrameCurve(column(), np.array([np.nan, 3.0])).worst.tolist() == [1]
    assert not len(FrameCurve(column(), np.full(4, np.nan)).worst)


def test_a_clip_has_its_own_curves() -> None:
    run = run_of(jitter=[1.0, 2, 3, 4], flicker=[np.nan] * 4)
    (own,) = curves.of_clip(run, pd.Series(NAMES))
    assert own.column.key == "jitter", "nothing is known of the others"
    assert own.values.tolist() == [1, 2, 3, 4]
    assert not curves.of_clip(run, pd.Series({**NAMES, "clip": "c1"}))
    assert not curves.of_clip(SimpleNamespace(frames=pd.DataFrame()), pd.Series(NAMES))  # type: ignore[arg-type]


def test_a_figure_says_where_the_worst_frames_are() -> None:
    figure = FrameCurve(column(), np.array([0.0, 5, 1, 7, 6])).figure("m: a into b", "#123456")
    assert "jitter over the frames of m: a into b; worst at 2, 4, 5" in figure
    assert "#123456" in figure
    assert figure == FrameCurve(column(), np.array([0.0, 5, 1, 7, 6])).figure("m: a into b", "#123456")


class Blank:
    """Stands for the thumbnails."""

    def picture(self, role: str, path: Any, alt: str) -> str:
        return f"{path}: {alt}"


def strip(n: int, run: Any) -> clips.FilmStrip:
    row = pd.Series({**NAMES, "jitter": 3.0, "outputs": [f"o{k}" for k in range(n)],
                     "targets": [f"t{k}" for k in range(n)]})  # fmt: skip
    return clips._strip(run, Blank(), row, column(), "#123456")  # type: ignore[arg-type]


def test_a_strip_shows_the_worst_frames_among_others() -> None:
    values = [1.0] * 40
    values[7], values[8], values[30] = 9.0, 8.0, 7.5
    shown = strip(40, run_of(jitter=values))
    marked = [head for head, worst in zip(shown.heads, shown.worst, strict=True) if worst]
    assert marked == ["8: 9.00", "9: 8.00", "31: 7.50"]
    assert len(shown.heads) == len(shown.outputs) == len(shown.targets) == clips.FRAMES
    assert shown.heads[0] == "1"
    assert shown.heads[-1] == "40"
    assert "o7: output, frame 8 of 40" in shown.outputs
    assert len(shown.figures) == 1


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_without_curves_frames_are_evenly_chosen(n: int) -> None:
    shown = strip(n, SimpleNamespace(frames=pd.DataFrame()))
    assert not any(shown.worst)
    assert not shown.figures
    assert len(shown.heads) == min(n, clips.FRAMES)
    assert shown.heads[-1] == str(n)
    other = strip(n, run_of(jitter=[1.0] * (n + 1)))
    assert not other.figures, "a curve of another length is of another clip"
