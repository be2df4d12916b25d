"""The data set that outputs of other tools are measured on: photographs of sources and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fsbench.datasets.people import Album
from fsbench.errors import DataError
from fsbench.faces.align import align
from fsbench.faces.pose import pose
from fsbench.harness.pairing import N_REFERENCES
from fsbench.harness.strangers import join
from fsbench.images import ImageSet, read_image
from fsbench.interfaces import DatasetInfo, Faces, Source, Split, Truth
from fsbench.pairs import Group, Pairs
from fsbench.store import fingerprint

NOTES = (
    "outputs are files of another tool: one that shows the frame of its target's photograph was cut exactly as that "
    "photograph was, any other by the face that was found in it",
    "the references of a source are all of its images, also those that the tool was shown",
)


@dataclass(frozen=True)
class PeopleOfAlbums:
    """The data set that outputs are measured on: the images of sources and targets, all in the test split."""

    info: DatasetInfo
    test: Faces
    sources: Mapping[str, np.ndarray]  # identity -> rows of the test split
    targets: Mapping[tuple[int, int], int]  # image of the album of targets, face -> row of the test split

    def faces(self, split: Split) -> Faces:
        """Return the test split; raises DataError for the others."""
        if split != "test":
            raise DataError(f"{self.info.name} has no split {split!r}", "it has test")
        return self.test

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return None: nobody knows the exact answer for photographs."""
        return None


def put_together(source_album: Album, target_album: Album, others: Sequence[tuple[int, int]]) -> PeopleOfAlbums:
    """Put sources and targets together; an image that is in both folders stands once.

    `others` are faces of targets that are not the first of their photographs: each is a person of its own.
    """
    first = [(int(image), 0) for image in np.flatnonzero(target_album.seen)]
    faces, own = (replace(album.faces, rows=album.faces.rows.assign(face=1)) for album in (target_album, source_album))
    for image, face in others:
        faces = join([faces, _face(target_album, faces.rows.iloc[[first.index((image, 0))]], image, face)])
    if source_album is not target_album:
        known = set(_content(faces))
        new = [content not in known for content in _content(own)]
        faces = _join(faces, own.select(np.array(new, bool)))
    names = source_album.faces.identities
    owner = faces.rows["identity"].to_numpy()
    content = fingerprint([faces.crops.content_hash(), faces.rows["id"].tolist()])
    info = DatasetInfo(
        name="score",
        revision=content,
        size=faces.crops.shape[1],
        description=f"people of {source_album.root.name} in photographs of {target_album.root.name}",
        licence="unknown: the user's own files",
        splits=("test",),
        notes=NOTES,
    )
    return PeopleOfAlbums(
        info,
        faces,
        {name: np.flatnonzero(owner == name) for name in names},
        {place: row for row, place in enumerate([*first, *others])},
    )


def _face(target_album: Album, row: pd.DataFrame, image: int, face: int) -> Faces:
    """Another face of a photograph whose first one has the facts `row`."""
    photo, points = read_image(target_album.photos[image].path), target_album.cuts.points(image)[face]
    crop, landmarks = align(photo, points, target_album.size)
    yaw, pitch, _ = pose(landmarks[None]).round(2).T
    name = f"{row['id'].item()}~face{face + 1}"
    return Faces(
        ImageSet(crop[None]), row.assign(id=name, identity=name, yaw=yaw, pitch=pitch, face=face + 1), landmarks[None]
    )


def _content(faces: Faces) -> list[tuple[str, bytes]]:
    """Who each image shows, and a hash of its pixels."""
    return list(zip(map(str, faces.rows["identity"]), faces.crops.hashes(), strict=True))


def _join(targets: Faces, sources: Faces) -> Faces:
    """Targets, then sources; ids that both have get a mark."""
    rows = sources.rows.copy()
    taken = rows["id"].isin(targets.rows["id"])
    rows["id"] = rows["id"].where(~taken, rows["id"] + "~source")
    return join([targets, replace(sources, rows=rows)])


def make_pairs(asked: Sequence[tuple[str, tuple[int, int]]], people: PeopleOfAlbums, rule: str) -> Pairs:
    groups = []
    for name in dict.fromkeys(source for source, _ in asked):
        own = people.sources.get(name, np.empty(0, np.int64))
        if len(own) == 0:
            raise DataError(
                f"no face was found in any image of the source {name}",
                "add a photograph in which the face is upright and at least 20 pixels wide",
            )
        shown = own[np.unique(np.linspace(0, len(own) - 1, N_REFERENCES).round().astype(int))]
        index = np.array([people.targets[target] for source, target in asked if source == name])
        groups.append(Group(Source(name, people.test.crops[shown]), index, people.test.select(index), None))
    return Pairs(tuple(groups), rule)
