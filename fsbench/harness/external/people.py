"""The data set that outputs of other tools are measured on: photographs of sources and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fsbench import hashes
from fsbench.datasets._photos import VERSIONS
from fsbench.datasets.people import Album
from fsbench.errors import DataError
from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.faces.align import align
from fsbench.faces.pose import pose
from fsbench.harness.external.asked import AskedPairs
from fsbench.harness.pairing import N_REFERENCES
from fsbench.harness.strangers import join
from fsbench.images import ImageSet, decoders, read_image
from fsbench.interfaces import DatasetInfo, Faces, Split, Truth
from fsbench.pairs import Group, Pairs
from fsbench.sampling import evenly
from fsbench.store import Arrays, fingerprint, release

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
    targets: np.ndarray  # image of the album of targets -> row of the test split of its first face, -1 without one
    others: Mapping[tuple[int, int], int]  # image of the album of targets, face -> row of the test split

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
    images, first = np.flatnonzero(target_album.seen), int(target_album.seen.sum())
    faces = _first_faces(target_album)
    own = faces if source_album is target_album else _first_faces(source_album)
    if others:
        first_of = np.searchsorted(images, [image for image, _ in others])
        faces = join([faces, _other_faces(target_album, faces.rows.iloc[first_of], others)])
    if source_album is not target_album:
        faces = _join(faces, own.select(~_among(own, faces)))
    names = own.identities
    owner = faces.rows["identity"].to_numpy()
    content = fingerprint([faces.crops.content_hash(), faces.rows["id"].tolist()])
    info = DatasetInfo(
        name="score",
        revision=content,
        size=faces.crops.shape[1],
        description=f"faces of {source_album.root.name} in photographs of {target_album.root.name}",
        licence="unknown: the user's own files",
        splits=("test",),
        notes=NOTES,
    )
    return PeopleOfAlbums(
        info,
        faces,
        {name: np.flatnonzero(owner == name) for name in names},
        np.where(target_album.seen, np.cumsum(target_album.seen) - 1, -1),
        {place: first + k for k, place in enumerate(others)},
    )


def _first_faces(album: Album) -> Faces:
    faces = album.faces
    return replace(faces, rows=faces.rows.assign(face=1))


def _other_faces(target_album: Album, rows: pd.DataFrame, others: Sequence[tuple[int, int]]) -> Faces:
    """Other faces of photographs, whose first ones have the facts `rows`; cached by content, in blocks."""

    def recipe(block: slice) -> dict[str, object]:
        return {
            "faces": [(hashes.hex_digits(target_album.hashes[image]), face) for image, face in others[block]],
            "size": target_album.size,
            "versions": VERSIONS,
            "decoders": decoders(),
            "runtime": release("torch"),
        }

    def cut(block: slice) -> Arrays:
        faces = [
            align(read_image(target_album.photos[image].path), target_album.cuts.points(image)[face], target_album.size)
            for image, face in others[block]
        ]
        return {"crops": np.stack([crop for crop, _ in faces]), "landmarks": np.stack([points for _, points in faces])}

    title = f"cutting other faces: {target_album.root.name}"
    entries = in_blocks(title, "faces", spans(len(others)), recipe, cut, target_album.context, length=length)
    landmarks = np.concatenate([entry["landmarks"] for entry in entries])
    yaw, pitch, _ = pose(landmarks).round(2).T
    faces = np.array([face + 1 for _, face in others])
    names = rows["id"].to_numpy(object) + "~face" + faces.astype(str).astype(object)
    rows = rows.assign(id=names, identity=names, yaw=yaw, pitch=pitch, face=faces)
    return Faces(ImageSet.stored(entries, "crops"), rows, landmarks)


def _among(some: Faces, others: Faces) -> np.ndarray:
    """Which images are among those of the same person in others, (N,) bool."""
    people, _ = pd.factorize(pd.concat([some.rows["identity"], others.rows["identity"]]))
    n = len(some.rows)
    own = hashes.of_rows(people[:n], some.crops.hashes())
    return np.isin(hashes.keys(own), hashes.keys(hashes.of_rows(people[n:], others.crops.hashes())))


def _join(targets: Faces, sources: Faces) -> Faces:
    """Targets, then sources; ids that both have get a mark."""
    rows = sources.rows.copy()
    taken = rows["id"].isin(targets.rows["id"])
    rows["id"] = rows["id"].where(~taken, rows["id"] + "~source")
    return join([targets, replace(sources, rows=rows)])


def make_pairs(asked: AskedPairs, face: np.ndarray, people: PeopleOfAlbums, rule: str) -> Pairs:
    """The pairs of `people` for those asked, of whose targets the faces (P,) are measured."""
    rows = people.targets[asked.target]
    for k in np.flatnonzero(face):
        rows[k] = people.others[int(asked.target[k]), int(face[k])]
    groups = []
    for name in dict.fromkeys(asked.source):
        own = people.sources.get(name, np.empty(0, np.int64))
        if len(own) == 0:
            raise DataError(
                f"no face was found in any image of the source {name}",
                "add a photograph in which the face is upright and at least 20 pixels wide",
            )
        shown = own[evenly(len(own), N_REFERENCES)]
        index = rows[asked.source == name]
        groups.append(Group(name, people.test.crops.select(shown), index, people.test.select(index), None))
    return Pairs(tuple(groups), rule)
