"""The floor of the codec: targets whose frames were written to a video and read again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.faces import align
from fsbench.faces import frames as region
from fsbench.faces.video import writer
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, WithVideos, clip_names, clip_spans
from fsbench.results import ModelRecord
from fsbench.store import Arrays, release

NAME = "write_read"

LONGEST = 512
"""Frames of a video: longer clips are written in parts, so that their length costs no memory."""


class WrittenTargets(NamedTuple):
    """Targets as a video shows them that was written and read again, in their order."""

    crops: ImageSet  # (T, 3, S, S)
    regions: ImageSet  # (T, 3, R, R)


def written_again(dataset: WithVideos, revision: str, faces: Faces, context: Context) -> WrittenTargets:
    """Write the frames of clips, read them, and cut what was cut there before; raises FsbenchError."""
    clips = clip_spans(clip_names(faces.rows))
    parts = [
        slice(clip.start + part.start, clip.start + part.stop)
        for clip in clips
        for part in spans(length(clip), LONGEST)
    ]

    def recipe(rows: slice) -> dict[str, Any]:
        return {
            "targets": [faces.rows["id"].iloc[rows].astype(str).tolist(), faces.select(rows).crops.content_hash()],
            "dataset": revision,
            "written": writer.DEFAULT,
            "versions": [align.VERSION, region.VERSION],
            "runtime": release("torch", "av", "pillow"),
        }

    def cut(rows: slice) -> Arrays:
        size, crops, regions = faces.crops.shape[1], [], []
        for image, points in dataset.written(faces.select(rows)):
            crops.append(align.align(image, points[0], size)[0])
            regions.append(region.cut_region(image, points[0], size)[0])
        return {"crops": np.stack(crops), "regions": np.stack(regions)}

    entries = in_blocks("writing videos", "frames", parts, recipe, cut, context, length=length)
    return WrittenTargets(ImageSet.stored(entries, "crops"), ImageSet.stored(entries, "regions"))


def record() -> ModelRecord:
    """Describe the floor."""
    return ModelRecord(
        name=NAME,
        spec=f"targets, written as {writer.DEFAULT} and read again",
        summary="unchanged frames, written to a video as `fsbench swap` does and read again: what the codec alone does",
        kind="floor",
    )
