"""Outputs that another tool made: which files there are, and the crops that are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsbench.datasets.people import Album, cut_files
from fsbench.errors import DataError
from fsbench.faces.align import align
from fsbench.images import ImageSet, list_images, read_image, shrink
from fsbench.interfaces import Context


@dataclass(frozen=True)
class Outputs:
    """A folder of outputs under the name that tables use."""

    name: str
    folder: Path
    files: tuple[str, ...]  # images, by path below the folder

    @classmethod
    def find(cls, name: str, folder: Path) -> Outputs:
        """List the images of a folder, hidden ones left out; raises DataError where there is none."""
        files = tuple(file.name for file in list_images(folder, "--outputs names a folder of images").files)
        if not files:
            raise DataError(f"{folder} holds no image", "--outputs names a folder of images")
        return cls(name, folder, files)

    def cut(self, pairs: Sequence[tuple[int, int]], targets: Album, context: Context) -> tuple[ImageSet, int]:
        """Crops of some outputs, each with its target, by number; and how many were cut by their own face.

        An output of the size of its target's photograph is cut where the target was, so that both show the same; any
        other where its own face is, and without one it is shown whole. Raises BadImage.
        """
        size = targets.cuts.crops.shape[1]
        crops = np.zeros((len(pairs), size, size, 3), np.uint8)
        alone = []
        progress = context.stage(f"cutting faces: {self.name}")
        for k, (number, target) in enumerate(pairs):
            image = read_image(self.folder / self.files[number])
            if image.shape[:2] == tuple(targets.cuts.shape[target]):
                crops[k], _ = align(image, targets.cuts.points[target], size)
            else:
                crops[k] = _whole(image, size)
                alone.append(k)
            progress(k + 1, len(pairs), {})
        if alone:
            files = [self.files[pairs[k][0]] for k in alone]
            cuts = cut_files(self.folder, files, size, f"finding faces: {self.name}", context)
            found = ~np.isnan(cuts.points).any((1, 2))
            crops[np.array(alone)[found]] = cuts.crops[found]
        return ImageSet(crops), len(alone)


def _whole(image: np.ndarray, size: int) -> np.ndarray:
    """The picture in the middle of a black square, shrunk where it is larger."""
    small = shrink(image, size)
    height, width = small.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top:top + height, left:left + width] = small
    return square
