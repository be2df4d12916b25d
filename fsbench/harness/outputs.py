"""Outputs that another tool made: which files there are, and the crops that are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.datasets._photos import Photo
from fsbench.datasets.people import Album, cut_photos
from fsbench.errors import BadImage, DataError
from fsbench.faces.align import align
from fsbench.files import Unused
from fsbench.images import ImageSet, list_images, read_image, shrink
from fsbench.interfaces import Context

LIKE_TARGET, RESIZED = "like its target", "like its target, which is of another size"
"""How outputs are cut that show the frame of their target."""

SEVERAL = "by the largest of its "
"""How outputs are cut that show another frame, and several faces in it; how many follows."""

_SAME_SHAPE = 0.02                                       # of the ratio of width to height, by rounding to whole pixels
_NEAR = 0.5                                              # of the distance of the eyes


@dataclass(frozen=True)
class Outputs:
    """A folder of outputs under the name that tables use."""

    name: str
    folder: Path
    files: tuple[str, ...]  # images, by path below the folder
    paths: tuple[Path, ...] = ()  # what opens each; by default the file below the folder
    unused: tuple[Unused, ...] = ()  # what else lies there

    @classmethod
    def find(cls, name: str, folder: Path) -> Outputs:
        """List the images of a folder; raises DataError where there is none, MissingData where there is no folder."""
        found = list_images(folder, "--outputs names a folder of images")
        if not found.files:
            why = f": {found.unused[0].sentence}" if found.unused else ""
            raise DataError(f"{folder} holds no image{why}", "--outputs names a folder of images")
        return cls(name, folder, tuple(file.name for file in found.files), tuple(file.path for file in found.files),
                   tuple(replace(one, where=name) for one in found.unused))

    def path(self, number: int) -> Path:
        """The path that opens a file."""
        return self.paths[number] if self.paths else self.folder / self.files[number]

    def cut(self, pairs: Sequence[tuple[int | None, int, int]], targets: Album, context: Context) -> Cut:
        """Crops of outputs, each (number or None where there is none) with the numbers of its target and its face.

        An output that shows its target's frame, in its size or in another, is cut where the face of the target was, so
        that both show the same; any other where its own face is, and without one it is shown whole. One that cannot be
        read is black, and lost.
        """
        size = targets.cuts.crops.shape[1]
        crops = np.zeros((len(pairs), size, size, 3), np.uint8)
        lost, why, cut = (np.full(len(pairs), "", object) for _ in range(3))
        progress = context.stage(f"cutting faces: {self.name}")
        resized = []
        for k, (number, target, face) in enumerate(pairs):
            progress(k + 1, len(pairs), {})
            if number is None:
                lost[k] = "missing"
                continue
            try:
                image = read_image(self.path(number))
            except BadImage as error:
                lost[k], why[k] = "unreadable", error.reason
                continue
            if image.shape[:2] == tuple(targets.cuts.shape[target]):
                crops[k], _ = align(image, targets.cuts.points(target)[face], size)
                cut[k] = LIKE_TARGET
            else:
                crops[k] = _whole(image, size)
                cut[k] = "whole: no face was found"
                resized.append(k)
        numbers = [number for k in resized if (number := pairs[k][0]) is not None]
        if numbers:
            own = cut_photos([Photo(self.path(number), self.files[number], "", "") for number in numbers], size,
                             f"finding faces: {self.name}", context)
            for i, k in enumerate(resized):
                place = in_frame(own.shape[i], targets.cuts.shape[pairs[k][1]],
                                 targets.cuts.points(pairs[k][1])[pairs[k][2]])
                if place is not None and _shows_a_face_at(place, own.points(i)):
                    crops[k], _ = align(read_image(self.path(numbers[i])), place, size)
                    cut[k] = RESIZED
                elif n_faces := own.n_faces[i]:
                    crops[k] = own.crops[i]
                    cut[k] = "by its own face" if n_faces == 1 else f"{SEVERAL}{n_faces} faces"
        files = ["" if number is None else self.files[number] for number, _, _ in pairs]
        return Cut(ImageSet(crops), lost, pd.DataFrame({"file": files, "cut": cut, "why": why}))


@dataclass(frozen=True)
class Cut:
    """Crops of a tool's outputs; entry i of every field belongs to pair i."""

    images: ImageSet  # black where there is no output
    lost: np.ndarray  # (N,) of str: "", "missing" or "unreadable"
    facts: pd.DataFrame  # file, cut, why: the user's file, how it was cut, why it could not be read


def in_frame(shape: np.ndarray, target: np.ndarray, points: np.ndarray) -> np.ndarray | None:
    """Points (..., 2) of a target's photograph in an output that shows the same frame; None where its shape is another.

    `shape` and `target` are (2,) heights and widths; output and target may be of different sizes.
    """
    factor = np.asarray(shape, float)[::-1] / np.asarray(target, float)[::-1]
    if abs(factor[0] / factor[1] - 1) > _SAME_SHAPE:
        return None
    place: np.ndarray = (points * factor).astype(np.float32)
    return place


def _shows_a_face_at(place: np.ndarray, faces: np.ndarray) -> bool:
    """Whether one of the faces (F, 5, 2) lies where five landmarks (5, 2) are: else the frame is another."""
    distance = np.linalg.norm(faces - place, axis=-1).mean(-1)
    return bool((distance < _NEAR * np.linalg.norm(place[1] - place[0])).any())


def _whole(image: np.ndarray, size: int) -> np.ndarray:
    """The picture in the middle of a black square, shrunk where it is larger."""
    small = shrink(image, size)
    height, width = small.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top:top + height, left:left + width] = small
    return square
