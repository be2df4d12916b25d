"""ToolOutputs that another tool made: which files there are, and the crops that are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fsbench.datasets._photos import Photo
from fsbench.datasets.people import Album, cut_photos
from fsbench.errors import BadImage, DataError
from fsbench.faces.align import align
from fsbench.files import Unused, printable
from fsbench.images import ImageSet, list_images, read_image, shrink
from fsbench.interfaces import Context

LIKE_TARGET, RESIZED = "like its target", "like its target, which is of another size"
"""How outputs are cut that show the frame of their target."""

SEVERAL = "by the largest of its "
"""How outputs are cut that show another frame, and several faces in it; how many follows."""

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
        return cls(
            name,
            folder,
            tuple(file.name for file in listing.files),
            tuple(file.path for file in listing.files),
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
        alone = []
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
            points, photo = targets.cuts.points(target), None
            if image.shape[:2] != tuple(targets.cuts.shape[target]):
                photo = read_image(targets.photos[target].path)
            if (place := in_frame(image, photo, points)) is not None:
                crops[k], _ = align(image, place[face], size)
                cut[k] = LIKE_TARGET if photo is None else RESIZED
            else:
                crops[k] = _whole(image, size)
                cut[k] = "whole: no face was found"
                alone.append(k)
        if alone:
            own = cut_photos(
                [
                    Photo(self.path(number), self.files[number], "", "")
                    for k in alone
                    if (number := pairs[k][0]) is not None
                ],
                size,
                f"finding faces: {self.name}",
                context,
            )
            for k, crop, n_faces in zip(alone, own.crops, own.n_faces, strict=True):
                if n_faces:
                    crops[k] = crop
                    cut[k] = "by its own face" if n_faces == 1 else f"{SEVERAL}{n_faces} faces"
        files = ["" if number is None else self.files[number] for number, _, _ in pairs]
        return Cut(ImageSet(crops), lost, pd.DataFrame({"file": files, "cut": cut, "why": why}))


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
