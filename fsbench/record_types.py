"""Fields of result files, and the base of their records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

DEEPEST = 20
"""Mappings and lists within each other in what a plug-in or machine says of itself."""

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
"""A finite number of a size that can be printed and drawn."""

ABSENT: tuple[Literal["missing", "unreadable"], ...] = ("missing", "unreadable")
"""Failures of a model on a pair that leave no image to measure."""

SetName = Literal["stills", "clips"]
"""An evaluation set: single images of the test split as targets, or its clips."""

Sample = Literal["output", "clip"]
"""What a row of a metric stands for: one output, or all outputs for one clip in the order of its frames."""

Stage = Literal["crop", "frame"]
"""Where a metric looks: at aligned crops, or at the frames that they were cut from."""

Unit = Literal["sessions", "people", "sessions and sources", "people and sources", "blocks of frames"]
"""What an interval draws again: sessions or identities of the targets, and identities of the sources; or blocks of
consecutive frames within each clip, which tell nothing of other clips."""

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(min_length=1)]


def _shallow(value: Any) -> Any:
    """Refuse what is nested too deeply to be shown."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels are nested")
        inner = [
            list(item.values()) if isinstance(item, dict) else item
            for item in level
            if isinstance(item, (dict, list, tuple))
        ]
        level, depth = [part for items in inner for part in items], depth + 1
    return value


Facts = Annotated[dict[str, Any], AfterValidator(_shallow)]
"""JSON values by name, of any kind."""


class Record(BaseModel):
    """A part of a result; unknown fields are an error, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
