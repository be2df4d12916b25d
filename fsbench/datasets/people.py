"""Any folder of people: galleries, calibration images, and real images beside other tools' outputs.

It has fewer requirements than the data set `folder`, because nothing is split: one person is enough, with one image.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.datasets import balance
from fsbench.datasets._photos import (
    NO_FACE,
    UNREADABLE,
    USED,
    Cuts,
    Photo,
    beside,
    cut_faces,
    hash_photos,
    left_out,
    list_people,
    tell_left_out,
    tell_several,
)
from fsbench.errors import DataError
from fsbench.files import Unused, printable, some
from fsbench.interfaces import Context, Faces

_REASONS = {NO_FACE: "no face found", UNREADABLE: "unreadable"}
_TOLD = 3  # sentences about uneven images
_FLAT = (
    "{n} images lie in no folder of a person, so each was read as another person, called by its file; if they all "
    "show one person, put them into a folder in it: {folder}/PERSON/*.jpg"
)
_LAYOUT = "lay it out as IDENTITY/SESSION/*.jpg, as IDENTITY/*.jpg, or as one image of each person"


@dataclass(frozen=True)
class Album:
    """All images of a folder, also those without a face; faces are detected at the first use."""

    root: Path
    photos: tuple[Photo, ...]
    size: int  # pixels, height and width of a crop
    context: Context
    ignored: tuple[Unused, ...]  # what else lies in the folder
    flat: bool  # without folders of people: each image is a person

    @functools.cached_property
    def hashes(self) -> np.ndarray:
        """Hash of each photo, as in `hash_photos`."""
        return hash_photos(self.photos)

    @functools.cached_property
    def cuts(self) -> Cuts:
        """The crops, in the order of the photos."""
        return cut_faces(self.photos, self.hashes, self.size, f"finding faces: {self.root.name}", self.context)

    @property
    def seen(self) -> np.ndarray:
        """Whether a face was found, (N,) bool."""
        found: np.ndarray = self.cuts.state == USED
        return found

    @property
    def unused(self) -> tuple[Unused, ...]:
        """Files of the folder that show no face, by reason; this detects faces."""
        return (*self._lost, *self.ignored)

    @property
    def warnings(self) -> tuple[str, ...]:
        """How the folder was read, what was left out, and whose sessions are not known, one sentence each."""
        read = [_FLAT.format(n=len(self.photos), folder=printable(self.root.name))] if self.flat else []
        lost = tell_left_out(self._lost, len(self.photos))
        return (*lost, *(unused.sentence for unused in self.ignored), *read, *self._no_sessions())

    @functools.cached_property
    def _lost(self) -> tuple[Unused, ...]:
        return left_out(
            self.root.name,
            [photo.file for photo in self.photos],
            self.cuts.state.tolist(),
            self.cuts.why.tolist(),
            _REASONS,
        )

    def _no_sessions(self) -> list[str]:
        images = Counter(
            photo.identity for photo, seen in zip(self.photos, self.seen, strict=True) if seen and not photo.session
        )
        names = [name for name, count in images.items() if count > 1]
        return (
            [
                f"no sessions are known of {some(names)}: each image counts as one; frames of one video would look "
                "like many sessions, and flatter every figure; lay them out as PERSON/SESSION/*.jpg"
            ]
            if names
            else []
        )

    @property
    def several(self) -> tuple[str, ...]:
        """Which images show several faces, of which the first was cut, in one sentence."""
        return tuple(tell_several([photo.file for photo in self.photos], self.cuts.n_faces))

    @property
    def uneven(self) -> tuple[str, ...]:
        """How unevenly people are shown who have more than one image: a few sentences, then how many more."""
        rows = self.faces.rows
        said = balance.warnings(rows[rows.duplicated("identity", keep=False)])
        more = len(said) - _TOLD
        return (*said[:_TOLD], *([f"{more} more warnings of uneven images"] if more > 0 else []))

    @property
    def faces(self) -> Faces:
        """The images in which a face was found, put together anew; raises DataError where there is none."""
        if not self.seen.any():
            raise DataError(
                f"no face was found in any of the {len(self.photos)} images in {self.root}",
                "use photographs in which a face is upright and at least 20 pixels wide",
            )
        rows = _rows(self.photos).assign(**self.cuts.facts())
        return Faces(self.cuts.crops, rows, self.cuts.landmarks).select(self.seen)


def read_people(root: Path, size: int, context: Context) -> Faces:
    """Aligned faces of the people in a folder, `size` pixels a side, with yaw and pitch; what is left out is logged.

    Laid out as IDENTITY/SESSION/*.jpg; as IDENTITY/*.jpg, each image then being a session of its own; or, where there
    are no such folders, as one image of each person, called by the file's name. Raises DataError and MissingData.
    """
    album = open_album(root, size, context)
    for warning in (*album.warnings, *album.several):
        context.log(f"{root.name}: {warning}")
    return album.faces


def open_album(root: Path, size: int, context: Context) -> Album:
    """List the images of such a folder; raises DataError where there is none, MissingData where there is no folder."""
    people = list_people(root, _LAYOUT)
    photos = people.photos or tuple(Photo(file, Path(file.name).stem) for file in people.loose)
    flat = not people.photos
    ignored = people.unused if flat else (*people.unused, *beside(root, people))
    if not photos:
        lost = "".join(f"; {unused.sentence}" for unused in ignored)
        raise DataError(f"{root} holds no image{lost}", _LAYOUT)
    return Album(root, photos, size, context, ignored, flat and len(photos) > 1)


def cut_photos(photos: Sequence[Photo], size: int, title: str, context: Context) -> Cuts:
    """Find and align the face in each photograph, whoever it shows; cached by content."""
    return cut_faces(photos, hash_photos(photos), size, title, context)


def _rows(photos: Sequence[Photo]) -> pd.DataFrame:
    """Name the images by their paths; one without a session is a session of its own, called by its file."""
    stems = pd.Series([Path(photo.file).with_suffix("").as_posix() for photo in photos])
    again = stems.groupby(stems).cumcount()  # a.jpg and a.png in one folder
    return pd.DataFrame(
        {
            "id": stems.where(again == 0, stems + "~" + (again + 1).astype(str)),
            "identity": [photo.identity for photo in photos],
            "session": [photo.session or photo.path.name for photo in photos],
            "clip": "",
            "frame": 0,
        }
    )
