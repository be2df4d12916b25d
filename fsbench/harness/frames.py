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
from fsbench.errors import FsbenchError, UsageError
from fsbench.evidence.references import EnrolledJudge
from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.extraction.features import find_landmarks
from fsbench.extraction.video_faces import BYTES_AT_ONCE, MOST_AT_ONCE, RECOGNISER, features_of
from fsbench.faces import frames as region
from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.paste import PRESETS, FrameCrop, floor, put_back
from fsbench.harness.evaluation import OutputFeatures, PreparedSet
from fsbench.harness.generate import SwappedPairs
from fsbench.harness.instruments import Instruments
from fsbench.images import ImageSet, in_threads
from fsbench.interfaces import Context, Dataset, Embedder, Faces, WithFrames
from fsbench.pairs import EvaluationSet, Pairs
from fsbench.registry import embedders
from fsbench.sampling import evenly
from fsbench.store import Arrays, release

FLOORS = 20
"""Frames in which the unchanged crop is pasted back under every preset."""

MOST_FACES = 8
"""Of a frame that are told apart, the one that is swapped first."""

_AROUND = 0.7  # half the side of the square in which a face is looked for changes, in distances of its eyes

_DESCRIPTION = (
    f"square of {region.SPAN:g} crop sides around the face, aligned as the crop is and in its scale, "
    "cut out of the pasted frame"
)


class PastedPairs(NamedTuple):
    """Outputs of all pairs in their frames, in the order of the pairs."""

    images: ImageSet  # (N, 3, R, R) regions
    weights: ImageSet  # (N, 1, R, R) share of the output in each pixel
    changes: np.ndarray  # (N, MOST_FACES) levels by which each face of the frame is changed; NaN for none


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
        self, crops: PreparedSet, instruments: Instruments, judges: Mapping[str, EnrolledJudge]
    ) -> PreparedSet:
        """Return the evaluation of the frames that the pairs of another one were cut from."""
        faces, pairs = crops.set.targets, crops.pairs
        regions, people = self._regions(faces)
        groups = [replace(group, targets=regions.select(group.index), truth=None) for group in pairs.groups]
        landmarks = find_landmarks(regions.crops, "frames", self.context)
        ready = EvaluationSet(
            Pairs(tuple(groups), pairs.rule),
            regions,
            landmarks,
            crops.set.real,
            crops.set.name,
            crops.set.named,
            people,
        )
        return PreparedSet.of(instruments, ready, judges, self.context, "frame")

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
        changes = np.concatenate([entry["changes"] for entry in entries])
        return PastedPairs(ImageSet.stored(entries, "regions"), ImageSet.stored(entries, "weights"), changes)

    def extract(self, label: str, crops: PreparedSet, frames: PreparedSet, swapped: SwappedPairs) -> OutputFeatures:
        """Features of a model's outputs in their frames; `crops` evaluates what is pasted, `frames` what it becomes."""
        pasted = self.paste(label, crops.pairs, swapped)
        seconds, weights = swapped.seconds, pasted.weights
        return frames.extract(label, pasted.images, seconds=seconds, weights=weights, changes=pasted.changes)

    def record(self, targets: Faces) -> results.FramesRecord:
        """Write the choices down, with the floor of every preset on some frames."""
        chosen = targets.select(evenly(len(targets), FLOORS))
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

    def _regions(self, faces: Faces) -> tuple[Faces, np.ndarray | None]:
        """The same entries as they stand in their frames, and `EvaluationSet.people`."""
        try:
            recogniser = embedders.build(RECOGNISER, self.context)
        except FsbenchError as missing:
            self.context.log(f"people in view are not told apart: {missing.sentence}")
            recogniser = None
        known = {"recogniser": RECOGNISER if recogniser else "", "device": self.context.device.type}
        entries = in_blocks(
            "reading frames", "frames", spans(len(faces)), lambda rows: self._recipe(faces.select(rows)) | known,
            lambda rows: self._cut(faces.select(rows), recogniser), self.context, length=length,
        )  # fmt: skip
        landmarks, people = (np.concatenate([entry[name] for entry in entries]) for name in ("landmarks", "people"))
        regions = Faces(ImageSet.stored(entries, "regions"), faces.rows, landmarks)
        return regions, people if recogniser is not None else None

    def _recipe(self, targets: Faces) -> dict[str, Any]:
        """What decides the regions of some targets, but for what is pasted there."""
        return {
            "targets": [targets.rows["id"].astype(str).tolist(), targets.crops.content_hash()],
            "dataset": self.revision,
            "region": region.VERSION,
            "runtime": release("torch", "av", "pillow"),
        }

    def _cut(self, targets: Faces, recogniser: Embedder | None) -> Arrays:
        size, cuts = targets.crops.shape[1], list[tuple[np.ndarray, np.ndarray]]()
        people = np.full((len(targets), MOST_FACES, recogniser.info.dim if recogniser else 0), np.nan, np.float32)
        for portion in _portions(self.dataset.frames(targets)):
            for image, faces in portion:
                if recogniser is not None and len(faces) > 1:
                    features = features_of(recogniser, image, faces[:MOST_FACES])
                    length_of = np.linalg.norm(features, axis=1, keepdims=True).clip(1e-9)
                    people[len(cuts), : len(features)] = features / length_of
                cuts.append(region.cut_region(image, faces[0], size))
        regions, landmarks = zip(*cuts, strict=True)
        return {"regions": np.stack(regions), "landmarks": np.stack(landmarks), "people": people}

    def _paste(self, part: _Part) -> Arrays:
        targets, how = part.targets, PRESETS[self.preset]
        size, images = targets.crops.shape[1], part.images.levels() / np.float32(255)
        alphas = None if part.alpha is None else part.alpha.levels()[..., 0] / np.float32(255)

        def put(i: int, frame: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            pasted = put_back(frame, images[i], _crop(targets, i, faces[0]), how, None if alphas is None else alphas[i])
            whole = region.cut_region(pasted.image, faces[0], size)[0]
            return whole, region.cut_weight(pasted, faces[0], size), _changes(frame, pasted.image, faces)

        numbered = ((i, *frame) for i, frame in enumerate(self.dataset.frames(targets)))
        cuts = [cut for portion in _portions(numbered) for cut in in_threads(lambda given: put(*given), portion)]
        regions, weights, changes = map(np.stack, zip(*cuts, strict=True))
        return {"regions": regions, "weights": weights[..., None], "changes": changes}


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


def _changes(frame: np.ndarray, pasted: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Mean absolute difference of two frames in a square about each of some faces (F, 5, 2), (MOST_FACES,) levels."""
    changes = np.full(MOST_FACES, np.nan, np.float32)
    for k, points in enumerate(faces[:MOST_FACES]):
        middle, half = points.mean(0), _AROUND * np.linalg.norm(points[1] - points[0])
        low, high = (np.clip(middle + sign * half, 0, frame.shape[1::-1]).astype(int) for sign in (-1, 1))
        place = slice(low[1], high[1]), slice(low[0], high[0])
        if frame[place].size:
            changes[k] = np.abs(pasted[place].astype(np.int16) - frame[place]).mean()
    return changes


def _portions(frames: Iterator[Any]) -> Iterator[list[Any]]:
    """So many frames together as memory allows."""
    for first in frames:
        size = max(part.nbytes for part in first if isinstance(part, np.ndarray))
        yield [first, *islice(frames, max(0, min(MOST_AT_ONCE, BYTES_AT_ONCE // size) - 1))]
