"""Any folder of people: galleries, calibration, and what other tools' outputs are compared with.

Laxer than the data set `folder`, for nothing is split: one person will do, and one image of each.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fsbench.datasets._photos import (
    NO_FACE,
    UNREADABLE,
    USED,
    Cuts,
    Photo,
    cut_faces,
    left_out,
    list_files,
    loose_images,
    outside,
    some,
)
from fsbench.errors import DataError
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces

_REASONS = {NO_FACE: "no face found", UNREADABLE: "unreadable"}
_LAYOUT = "lay it out as IDENTITY/SESSION/*.jpg, as IDENTITY/*.jpg, or as one image of each person"


@dataclass(frozen=True)
class Album:
    """All images of a folder, also those without a face; entry i of every field belongs to image i."""

    root: Path
    photos: tuple[Photo, ...]
    rows: pd.DataFrame                                  # as in Faces.rows
    cuts: Cuts
    warnings: tuple[str, ...]                           # what was left out, one sentence each

    @functools.cached_property
    def faces(self) -> Faces:
        """Those in which a face was found; raises DataError where there is none."""
        used = self.cuts.state == USED
        if not used.any():
            raise DataError(f"no face was found in any of the {len(used)} images in {self.root}",
                            "use photographs in which a face is upright and at least 20 pixels wide")
        return Faces(ImageSet(self.cuts.crops), self.rows, self.cuts.landmarks).select(used)


def read_people(root: Path, size: int, context: Context) -> Faces:
    """Aligned faces of the people in a folder, `size` pixels a side, with yaw and pitch; what is left out is logged.

    Laid out as IDENTITY/SESSION/*.jpg; as IDENTITY/*.jpg, each image then being a session of its own; or, where there
    are no such folders, as one image of each person, called by the file's name. Raises DataError and MissingData.
    """
    album = open_album(root, size, context)
    for warning in album.warnings:
        context.log(f"{root.name}: {warning}")
    return album.faces


def open_album(root: Path, size: int, context: Context) -> Album:
    """The same, with every file and what became of it; raises DataError where there is no image at all."""
    files = list_files(root, _LAYOUT)
    photos = [photo for photo in files if photo.is_image]
    lost, others = outside(root), [photo.file for photo in files if not photo.is_image]
    if not photos:
        photos = [Photo(path, path.name, path.stem, "") for path in loose_images(root)]
        lost = [name for name in lost if name.endswith("/")]
    if not photos:
        raise DataError(f"{root} holds no image", _LAYOUT)
    cuts = cut_faces(photos, [photo.sha256() for photo in photos], size, f"finding faces: {root.name}", context)
    warnings = left_out([photo.file for photo in photos], cuts.state.tolist(), _REASONS)
    if lost:
        warnings.append(f"not used, beside the folders of identities or without an image: {some(lost)}")
    if others:
        warnings.append(f"{len(others)} files are not images of a known kind: {some(others)}")
    return Album(root, tuple(photos), _rows(photos).assign(**cuts.facts()), cuts, tuple(warnings))


def _rows(photos: Sequence[Photo]) -> pd.DataFrame:
    """Name the images by their paths; one without a session is a session of its own, called by its file."""
    stems = pd.Series([Path(photo.file).with_suffix("").as_posix() for photo in photos])
    again = stems.groupby(stems).cumcount()              # a.jpg and a.png in one folder
    return pd.DataFrame({
        "id": stems.where(again == 0, stems + "~" + (again + 1).astype(str)),
        "identity": [photo.identity for photo in photos],
        "session": [photo.session or photo.path.name for photo in photos],
        "clip": "",
        "frame": 0,
    })
