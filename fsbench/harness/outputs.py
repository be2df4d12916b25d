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
from fsbench.files import Unused, printable
from fsbench.images import ImageSet, list_images, read_image, shrink
from fsbench.interfaces import Context


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
        """List the images of a folder; raises MissingData where there is no folder. One without images is `empty`."""
        found = list_images(folder, "--outputs names a folder of images")
        return cls(name, folder, tuple(file.name for file in found.files), tuple(file.path for file in found.files),
                   tuple(replace(one, where=name) for one in found.unused))

    def empty(self) -> DataError | None:
        """Why there is nothing to measure, or None."""
        if self.files:
            return None
        why = f": {self.unused[0].sentence}" if self.unused else ""
        return DataError(f"{printable(str(self.folder))} holds no image{why}", "--outputs names a folder of images")

    def path(self, number: int) -> Path:
        """The path that opens a file."""
        return self.paths[number] if self.paths else self.folder / self.files[number]

    def cut(self, pairs: Sequence[tuple[int | None, int]], targets: Album, context: Context) -> Cut:
        """Crops of outputs, each (number or None where there is none) with the number of its target.

        An output of the size of its target's photograph is cut where the target was, so that both show the same; any
        other where its own face is, and without one it is shown whole. One that cannot be read is black, and lost.
        """
        size = targets.cuts.crops.shape[1]
        crops = np.zeros((len(pairs), size, size, 3), np.uint8)
        lost, why, cut = (np.full(len(pairs), "", object) for _ in range(3))
        progress = context.stage(f"cutting faces: {self.name}")
        for k, (number, target) in enumerate(pairs):
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
                crops[k], _ = align(image, targets.cuts.points[target], size)
                cut[k] = "like its target"
            else:
                crops[k] = _whole(image, size)
                cut[k] = "whole: no face was found"
        alone = [k for k in range(len(pairs)) if cut[k].startswith("whole")]
        if alone:
            own = [Photo(self.path(number), self.files[number], "", "") for k in alone
                   if (number := pairs[k][0]) is not None]
            cuts = cut_photos(own, size, f"finding faces: {self.name}", context)
            found = np.array(alone)[~np.isnan(cuts.points).any((1, 2))]
            crops[found] = cuts.crops[~np.isnan(cuts.points).any((1, 2))]
            cut[found] = "by its own face"
        files = ["" if number is None else self.files[number] for number, _ in pairs]
        return Cut(ImageSet(crops), lost, pd.DataFrame({"file": files, "cut": cut, "why": why}))


@dataclass(frozen=True)
class Cut:
    """Crops of a tool's outputs; entry i of every field belongs to pair i."""

    images: ImageSet  # black where there is no output
    lost: np.ndarray  # (N,) of str: "", "missing" or "unreadable"
    facts: pd.DataFrame  # file, cut, why: the user's file, how it was cut, why it could not be read


def _whole(image: np.ndarray, size: int) -> np.ndarray:
    """The picture in the middle of a black square, shrunk where it is larger."""
    small = shrink(image, size)
    height, width = small.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top:top + height, left:left + width] = small
    return square
