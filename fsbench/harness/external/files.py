"""ToolOutputs that another tool made: which files there are, and the crops that are measured."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from fsbench.datasets._photos import VERSIONS, Photo, hash_photos
from fsbench.datasets.people import Album, cut_photos
from fsbench.errors import BadImage, DataError
from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.faces.align import align
from fsbench.files import Found, Unused, printable
from fsbench.hashes import hex_digits
from fsbench.images import ImageSet, decoders, in_threads, list_images, read_image, shrink
from fsbench.interfaces import Context, silent
from fsbench.store import Arrays, release

LIKE_TARGET, RESIZED = "like its target", "like its target, which is of another size"
"""How outputs are cut that show the frame of their target."""

SEVERAL = "by the largest of its "
"""How outputs are cut that show another frame, and several faces in it; how many follows."""

ABSENT = -1
"""Number of an output that is not there."""

_VERSION = 1
"""Raised whenever crops of outputs, or what is said of them, change."""

_WHOLE = "whole: no face was found"
_SAME_SHAPE = 0.02  # of the ratio of width to height, by rounding to whole pixels
_SAME_PICTURE = 0.9
"""Correlation around the faces, from which on two pictures show one frame.

Outputs for LFW photographs, saved as JPEG in twice the size, have .999 and more; the middle 92 % of LFW's pictures have
.95 and less with the whole ones, the middle 80 % .82 and less.
"""

_THUMB = 32  # pixels, side of the pictures that are compared
_FACE = 2.2  # distances of the eyes around a face that a swap may change
_ENOUGH_AROUND = 0.2  # of the picture
_PLAIN = 4.0  # levels, standard deviation


class _Note(NamedTuple):
    """What is to be said of an output."""

    lost: str = ""  # "missing" or "unreadable"
    why: str = ""  # it could not be read
    cut: str = ""  # how it was cut


@dataclass(frozen=True)
class ToolOutputs:
    """A folder of outputs under the name that tables use."""

    name: str
    folder: Path
    files: tuple[str, ...]  # images, by path below the folder
    paths: tuple[Path, ...] = ()  # what opens each; by default the file below the folder
    unused: tuple[Unused, ...] = ()  # what else lies there

    @classmethod
    def find(cls, name: str, folder: Path) -> ToolOutputs:
        """List the images of a folder; raises MissingData where there is no folder. One without images is `empty`."""
        listing = list_images(folder, "--outputs names a folder of images")
        linked = any(file.path != folder / file.name for file in listing.files)
        return cls(
            name,
            folder,
            tuple(file.name for file in listing.files),
            tuple(file.path for file in listing.files) if linked else (),
            tuple(replace(record, where=name) for record in listing.unused),
        )

    def empty(self) -> DataError | None:
        """Why there is nothing to measure, or None."""
        if self.files:
            return None
        why = f": {self.unused[0].sentence}" if self.unused else ""
        return DataError(f"{printable(str(self.folder))} holds no image{why}", "--outputs names a folder of images")

    def path(self, number: int) -> Path:
        """The path that opens a file."""
        return self.paths[number] if self.paths else self.folder / self.files[number]

    @cached_property
    def hashes(self) -> np.ndarray:
        """Hash of each file, as in `hash_photos`."""
        return hash_photos(map(self.photo, range(len(self.files))))

    def photo(self, number: int) -> Photo:
        """A file as a photograph of nobody in particular."""
        path = self.path(number)
        return Photo(Found(path.parent, self.files[number], path.name))

    def cut(self, pairs: np.ndarray, targets: Album, context: Context) -> Cut:
        """Crops of the outputs of pairs (N, 3), numbers of output (or ABSENT), target and its face; cached in blocks.

        An output that shows its target's frame, in its size or in another, is cut where the face of the target was, so
        that both show the same; any other where its own face is, and without one it is shown whole. One that cannot be
        read is black, and lost.
        """
        cutter = _Cutter(self, targets, replace(context, stage=lambda title: silent))

        def recipe(block: slice) -> dict[str, object]:
            return {
                "pairs": [
                    (
                        "" if number == ABSENT else hex_digits(self.hashes[number]),
                        hex_digits(targets.hashes[target]),
                        face,
                    )
                    for number, target, face in pairs[block].tolist()
                ],
                "size": targets.size,
                "versions": (*VERSIONS, _VERSION),
                "decoders": decoders(),
                "runtime": release("torch"),
            }

        entries = in_blocks(
            f"cutting faces: {self.name}",
            "cuts",
            spans(len(pairs)),
            recipe,
            lambda block: cutter.cut(pairs[block]),
            context,
            length=length,
        )
        notes = [tuple(map(intern, note)) for entry in entries for note in json.loads(entry["notes"].tobytes())]
        lost, why, cut = np.array(notes, object).T
        files = ["" if number == ABSENT else self.files[number] for number in pairs[:, 0]]
        facts = pd.DataFrame({"file": files, "cut": cut, "why": why})
        return Cut(ImageSet.stored(entries, "crops"), lost, facts)


@dataclass(frozen=True)
class _Cutter:
    """Cuts the outputs of one tool."""

    tool: ToolOutputs
    targets: Album
    context: Context

    def cut(self, pairs: np.ndarray) -> Arrays:
        """Crops (N, S, S, 3) uint8, and what is to be said of each (`_Note`) as JSON."""
        cuts = in_threads(self._cut, pairs)
        crops, notes = np.stack([crop for crop, _ in cuts]), [note for _, note in cuts]
        alone = [k for k, note in enumerate(notes) if note.cut == _WHOLE]
        if alone:
            photos = [self.tool.photo(number) for number in pairs[alone, 0]]
            title = f"finding faces: {self.tool.name}"
            own = cut_photos(photos, self.targets.size, title, self.context)
            for k, crop, n_faces in zip(alone, own.crops.levels(), own.n_faces, strict=True):
                if n_faces:
                    crops[k] = crop
                    notes[k] = _Note(cut="by its own face" if n_faces == 1 else f"{SEVERAL}{n_faces} faces")
        return {"crops": crops, "notes": np.frombuffer(json.dumps(notes).encode(), np.uint8)}

    def _cut(self, pair: np.ndarray) -> tuple[np.ndarray, _Note]:
        """Cut one output where the face of its target was, or show it whole."""
        (number, target, face), cuts, size = pair, self.targets.cuts, self.targets.size
        black = np.zeros((size, size, 3), np.uint8)
        if number == ABSENT:
            return black, _Note(lost="missing")
        try:
            image = read_image(self.tool.path(number))
        except BadImage as error:
            return black, _Note(lost="unreadable", why=error.reason)
        same_size = image.shape[:2] == tuple(cuts.shape[target])
        photo = None if same_size else read_image(self.targets.photos[target].path)
        place = in_frame(image, photo, cuts.points(target))
        if place is None:
            return _whole(image, size), _Note(cut=_WHOLE)
        return align(image, place[face], size)[0], _Note(cut=LIKE_TARGET if same_size else RESIZED)


@dataclass(frozen=True)
class Cut:
    """Crops of a tool's outputs; entry i of every field belongs to pair i."""

    images: ImageSet  # black where there is no output
    lost: np.ndarray  # (N,) of str: "", "missing" or "unreadable"
    facts: pd.DataFrame  # file, cut, why: the user's file, how it was cut, why it could not be read


def in_frame(image: np.ndarray, photo: np.ndarray | None, points: np.ndarray) -> np.ndarray | None:
    """Faces (F, 5, 2) of a target's photograph (h, w, 3) in an output (H, W, 3) that shows its frame, None in another.

    An output of the same size does, and needs no `photo`. One of another size does where its sides are in the same
    ratio, and what is around the faces looks the same.
    """
    if photo is None or image.shape == photo.shape:
        return points
    factor = np.array(image.shape[1::-1]) / photo.shape[1::-1]
    if abs(factor[0] / factor[1] - 1) > _SAME_SHAPE or _likeness_around(image, photo, points) < _SAME_PICTURE:
        return None
    place: np.ndarray = (points * factor).astype(np.float32)
    return place


def _likeness_around(image: np.ndarray, photo: np.ndarray, points: np.ndarray) -> float:
    """Correlation of two pictures outside the faces (F, 5, 2) of the second, from -1 to 1.

    Of both as they are, where there is too little around the faces, or nothing to be seen in it.
    """
    one, other = (
        np.asarray(Image.fromarray(pixels).convert("L").resize((_THUMB, _THUMB), Image.Resampling.BOX), float)
        for pixels in (image, photo)
    )
    step = (np.arange(_THUMB) + 0.5) / _THUMB
    place = np.stack(np.meshgrid(step * photo.shape[1], step * photo.shape[0]), -1)  # (S, S, 2) x, y
    around = np.ones((_THUMB, _THUMB), bool)
    for face in points:
        radius = _FACE * np.linalg.norm(face[1] - face[0])
        around &= np.linalg.norm(place - face.mean(0), axis=-1) > radius
    if around.mean() < _ENOUGH_AROUND or other[around].std() < _PLAIN:
        around[:] = True
    a, b = one[around] - one[around].mean(), other[around] - other[around].mean()
    return float((a * b).sum() / max(np.sqrt((a**2).sum() * (b**2).sum()), 1e-9))


def _whole(image: np.ndarray, size: int) -> np.ndarray:
    """The picture in the middle of a black square, shrunk where it is larger."""
    small = shrink(image, size)
    height, width = small.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + height, left : left + width] = small
    return square
