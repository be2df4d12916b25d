"""The stage "frame": outputs put back into their frames, where metrics look at the region around the face.

Frames are read one after the other, and of each the region is kept (`fsbench.faces.frames`), never the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, cast

import numpy as np

from fsbench import results
from fsbench.choices import Preset
from fsbench.config import Plan
from fsbench.errors import UsageError
from fsbench.evidence.references import EnrolledJudge
from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.extraction.features import find_landmarks
from fsbench.extraction.video_faces import BYTES_AT_ONCE, MOST_AT_ONCE
from fsbench.faces import frames as region
from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.paste import PRESETS, FrameCrop, floor, put_back
from fsbench.harness.evaluation import Evaluation, OutputFeatures
from fsbench.harness.generate import SwappedPairs
from fsbench.harness.instruments import Instruments
from fsbench.images import ImageSet, in_threads
from fsbench.interfaces import Context, Dataset, Faces, WithFrames
from fsbench.pairs import EvaluationSet, Pairs
from fsbench.store import Arrays, release

FLOORS = 20
"""Frames in which the unchanged crop is pasted back under every preset."""

_DESCRIPTION = (
    f"square of {region.SPAN:g} crop sides around the face, aligned as the crop is and in its scale, "
    "cut out of the pasted frame"
)


class PastedPairs(NamedTuple):
    """Outputs of all pairs in their frames, in the order of the pairs."""

    images: ImageSet  # (N, 3, R, R) regions
    weights: ImageSet  # (N, 1, R, R) share of the output in each pixel


@dataclass(frozen=True)
class FrameStage:
    """Puts outputs back into the frames of a data set, by a preset."""

    dataset: WithFrames
    revision: str  # of the data set
    preset: Preset
    context: Context

    @classmethod
    def of(cls, plan: Plan, dataset: Dataset, context: Context) -> FrameStage | None:
        """Return the stage that a plan asks for, None for crops; raises UsageError where frames are not known."""
        if plan.stage == "crop":
            return None
        if not isinstance(dataset, WithFrames):
            raise UsageError(
                f"{plan.dataset} does not know the frames that its crops were cut from",
                "leave --stage out, or try --dataset video:DIR or folder:DIR",
            )
        return cls(dataset, cast(Dataset, dataset).info.revision, plan.preset, context)

    def evaluation(
        self, crops: Evaluation, instruments: Instruments, judges: Mapping[str, EnrolledJudge]
    ) -> Evaluation:
        """Return the evaluation of the frames that the pairs of another one were cut from."""
        faces, pairs = crops.set.targets, crops.pairs
        regions = self._regions(faces)
        groups = [replace(group, targets=regions.select(group.index), truth=None) for group in pairs.groups]
        landmarks = find_landmarks(regions.crops, "frames", self.context)
        ready = EvaluationSet(
            Pairs(tuple(groups), pairs.rule), regions, landmarks, crops.set.real, crops.set.name, crops.set.named
        )
        return Evaluation.of(instruments, ready, judges, self.context, "frame")

    def paste(self, label: str, pairs: Pairs, swapped: SwappedPairs) -> PastedPairs:
        """Put the outputs for some pairs of crops back into their frames."""
        outputs = pairs.by_group(swapped.images)
        alphas = pairs.by_group(swapped.alpha) if swapped.alpha is not None else [None] * len(outputs)
        parts = [
            _Part(group.targets.select(rows), images.select(rows), alpha.select(rows) if alpha is not None else None)
            for group, images, alpha in zip(pairs.groups, outputs, alphas, strict=True)
            for rows in spans(len(group.index))
        ]
        how = {"preset": asdict(PRESETS[self.preset])}
        entries = in_blocks(
            f"pasting: {label}", "frames", parts, lambda part: self._recipe(part.targets) | how | part.content,
            self._paste, self.context, length=lambda part: len(part.targets),
        )  # fmt: skip
        return PastedPairs(ImageSet.stored(entries, "regions"), ImageSet.stored(entries, "weights"))

    def extract(self, label: str, crops: Evaluation, frames: Evaluation, swapped: SwappedPairs) -> OutputFeatures:
        """Features of a model's outputs in their frames; `crops` evaluates what is pasted, `frames` what it becomes."""
        pasted = self.paste(label, crops.pairs, swapped)
        return frames.extract(label, pasted.images, seconds=swapped.seconds, weights=pasted.weights)

    def record(self, targets: Faces) -> results.FramesRecord:
        """Write the choices down, with the floor of every preset on some frames."""
        n = min(FLOORS, len(targets))
        chosen = targets.select(np.unique(np.linspace(0, len(targets) - 1, n).round().astype(int)))
        floors: dict[str, list[float]] = {name: [] for name in PRESETS}
        for i, (frame, faces) in enumerate(self.dataset.frames(chosen)):
            crop = _crop(chosen, i, faces[0])
            for name, how in PRESETS.items():
                floors[name].append(floor(frame, crop, how))
        return results.FramesRecord(
            preset=self.preset,
            paste=PRESETS[self.preset].description,
            region=_DESCRIPTION,
            floors={name: float(np.mean(levels)) for name, levels in floors.items()},
            n_floors=len(chosen),
        )

    def _regions(self, faces: Faces) -> Faces:
        """The same entries as they stand in their frames."""
        entries = in_blocks(
            "reading frames", "frames", spans(len(faces)), lambda rows: self._recipe(faces.select(rows)),
            lambda rows: self._cut(faces.select(rows)), self.context, length=length,
        )  # fmt: skip
        landmarks = np.concatenate([entry["landmarks"] for entry in entries])
        return Faces(ImageSet.stored(entries, "regions"), faces.rows, landmarks)

    def _recipe(self, targets: Faces) -> dict[str, Any]:
        """What decides the regions of some targets, but for what is pasted there."""
        return {
            "targets": [targets.rows["id"].astype(str).tolist(), targets.crops.content_hash()],
            "dataset": self.revision,
            "region": region.VERSION,
            "runtime": release("torch", "av", "pillow"),
        }

    def _cut(self, targets: Faces) -> Arrays:
        size = targets.crops.shape[1]
        cuts = [
            cut
            for portion in _portions(self.dataset.frames(targets))
            for cut in in_threads(lambda read: region.cut_region(read[0], read[1][0], size), portion)
        ]
        regions, landmarks = zip(*cuts, strict=True)
        return {"regions": np.stack(regions), "landmarks": np.stack(landmarks)}

    def _paste(self, part: _Part) -> Arrays:
        targets, how = part.targets, PRESETS[self.preset]
        size, images = targets.crops.shape[1], part.images.levels() / np.float32(255)
        alphas = None if part.alpha is None else part.alpha.levels()[..., 0] / np.float32(255)

        def put(i: int, frame: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            pasted = put_back(frame, images[i], _crop(targets, i, faces[0]), how, None if alphas is None else alphas[i])
            return region.cut_region(pasted.image, faces[0], size)[0], region.cut_weight(pasted, faces[0], size)

        numbered = ((i, *frame) for i, frame in enumerate(self.dataset.frames(targets)))
        cuts = [cut for portion in _portions(numbered) for cut in in_threads(lambda given: put(*given), portion)]
        regions, weights = zip(*cuts, strict=True)
        return {"regions": np.stack(regions), "weights": np.stack(weights)[..., None]}


@dataclass(frozen=True)
class _Part:
    """Outputs of some pairs of one source that are pasted, and kept, together."""

    targets: Faces
    images: ImageSet
    alpha: ImageSet | None

    @cached_property
    def content(self) -> dict[str, Any]:
        return {
            "outputs": self.images.content_hash(), "alpha": self.alpha.content_hash() if self.alpha is not None else "",
            "landmarks": self.targets.landmarks.tolist(),
        }  # fmt: skip


def _crop(targets: Faces, i: int, landmarks: np.ndarray) -> FrameCrop:
    """The crop of a target, and where it was in its frame by the landmarks there."""
    image = targets.crops.levels(i) / np.float32(255)
    return FrameCrop(image, targets.landmarks[i], similarity(landmarks, TEMPLATE * len(image)))


def _portions(frames: Iterator[Any]) -> Iterator[list[Any]]:
    """So many frames together as memory allows."""
    for first in frames:
        size = max(part.nbytes for part in first if isinstance(part, np.ndarray))
        yield [first, *islice(frames, max(0, min(MOST_AT_ONCE, BYTES_AT_ONCE // size) - 1))]
