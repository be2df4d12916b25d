"""Outputs in their frames: every value beside its floor, what the paste does to a crop that is not changed at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsbench.compare import size_of
from fsbench.numbers import number
from fsbench.report.page import Section
from fsbench.report.run import Column, RunContents
from fsbench.report.tables import interval, ordered
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.results import slug

FRAMES = "frames"
"""Folder of a run in which pasted frames lie."""


@dataclass(frozen=True)
class FrameValue:
    """A value of one model, and how it stands to the floor."""

    text: str
    detail: str
    to_floor: str  # "" where that is not known


@dataclass(frozen=True)
class FrameRow:
    """One metric, its floor, and the contestants' values beside it."""

    column: Column
    floor: FrameValue
    values: tuple[FrameValue, ...]


def build(run: RunContents) -> dict[str, Any] | None:
    record = run.result.protocol.frames
    floor = next((model.name for model in run.result.models if model.kind == "floor"), None)
    if record is None or floor is None:
        return None
    contestants = [model.name for model in ordered(run) if model in run.contestants]
    columns = [column for column in run.columns if column.stage == "frame" and run.scored(run.result.models, column)]
    compared = iter(run.compare((model, floor, column) for column in columns for model in contestants))
    rows = []
    for column in columns:
        values = [_value(run, model, column) for model in contestants]
        said = [next(compared) for _ in contestants]
        beside = [
            FrameValue(value.text, value.detail, size_of(one, column.metric) if known(one) else "")
            for value, one in zip(values, said, strict=True)
        ]
        rows.append(FrameRow(column, _value(run, floor, column), tuple(beside)))
    return {"frames": record, "contestants": contestants, "rows": rows, "pictures": _pictures(run, floor, contestants)}


def known(comparison: Any) -> bool:
    """Whether a paired difference has numbers."""
    return comparison.difference is not None and comparison.difference.effect is not None


def _value(run: RunContents, model: str, column: Column) -> FrameValue:
    value, digits = run.value(model, column), column.metric.digits
    if value is None or value.value is None:
        return FrameValue("not scored", value.reason if value is not None else "", "")
    return FrameValue(number(value.value, digits), interval(value, digits), "")


def _pictures(run: RunContents, floor: str, contestants: list[str]) -> tuple[Picture, ...]:
    """One pair in its frame: as it was, with the unchanged crop, and with each contestant's output."""
    samples = run.of(floor)
    if samples.empty:
        return ()
    row, thumbnails = samples.iloc[len(samples) // 2], Thumbnails(run)
    place = f"{slug(str(row['source']))}/{row['id']}.png"
    shown = [thumbnails.picture("frame", Path("inputs/frame", f"{row['id']}.png"), f"frame of {row['identity']}")]
    for model in (floor, *contestants):
        path = Path(FRAMES, slug(model), place)
        shown.append(thumbnails.picture(model, path, f"{model} in the frame of {row['identity']}"))
    return tuple(shown)


SECTIONS = (Section("frames", "Frames", build, "run/frames.html.j2"),)
