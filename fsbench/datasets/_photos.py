"""Photographs in folders: the list of files, and the aligned face of each."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern

import numpy as np
import torch

from fsbench import files, hashes
from fsbench.errors import BadImage, DataError
from fsbench.extraction.blocks import in_blocks, length
from fsbench.faces import align, detect, pose
from fsbench.files import Found, Unused, gather, some
from fsbench.images import ImageSet, decoders, list_images, read_image
from fsbench.interfaces import Context
from fsbench.store import Arrays, release

USED, NO_FACE, UNREADABLE = "used", "no face", "unreadable"
_STATES = (USED, NO_FACE, UNREADABLE)
VERSIONS = (detect.VERSION, align.VERSION)
REVISION = (*VERSIONS, pose.VERSION)
"""The parameters that decide crops and facts, besides the files."""

_STORED = 4  # raised whenever the arrays that are cached change
_CHUNK = 32  # files cached together: what a killed process loses at most on each core
_AT_ONCE = 16  # blocks that are divided among the cores
_REASON = 200  # bytes of a reason that are kept
_RUN = "plan.json"  # what `fsbench run` leaves in its folder
_EMPTY = "a folder without an image"
_BESIDE = "beside the folders of identities"
_LAYOUT = "lay it out as IDENTITY/SESSION/*.jpg, or as IDENTITY/*.jpg where sessions are not known"


@dataclass(frozen=True, slots=True)
class Photo:
    """One file below the folder of an identity."""

    found: Found
    identity: str = ""
    session: str = ""  # name of the sub-folder, "" where there is none

    @property
    def path(self) -> Path:
        """What opens it."""
        return self.found.path

    @property
    def file(self) -> str:
        """Its name: path below the data set's folder, in Unicode's NFC."""
        return self.found.name

    @property
    def shoot(self) -> tuple[str, str]:
        """Identity and session."""
        return self.identity, self.session

    def sha256(self) -> bytes:
        """Return the hash of its content, or of why it cannot be read; `cut_faces` then finds it unreadable."""
        try:
            return bytes.fromhex(files.sha256(self.path))
        except (OSError, ValueError) as error:
            return hashlib.sha256(f"unreadable: {error}".encode()).digest()


def hash_photos(photos: Iterable[Photo]) -> np.ndarray:
    """The hash of each photograph, (N, 32) uint8."""
    return hashes.stack(photo.sha256() for photo in photos)


@dataclass(frozen=True)
class PeopleFolder:
    """Contents of a folder of people."""

    photos: tuple[Photo, ...]  # images below the folder of an identity, one identity by one
    loose: tuple[Found, ...]  # images beside these folders
    unused: tuple[Unused, ...]  # everything else

    @property
    def identities(self) -> list[str]:
        """Names, in order."""
        return list(dict.fromkeys(photo.identity for photo in self.photos))


def list_people(root: Path, layout: str = _LAYOUT) -> PeopleFolder:
    """List a folder of people; raises DataError, whose hint is `layout`, for what is no such folder.

    Sub-folders are identities, and their sub-folders are sessions. Deeper files of a session belong to that session.
    """
    found = list_images(root, layout)
    if any((root / folder / _RUN).exists() for folder in ("", *found.folders)):
        raise DataError(f"{root} holds a run of fsbench, not photographs", layout)
    photos, loose = [], []
    for file in found.files:
        identity, *inside = file.name.split("/")
        if inside:
            photos.append(Photo(file, intern(identity), intern(inside[0]) if len(inside) > 1 else ""))
        else:
            loose.append(file)
    full = {photo.identity for photo in photos}
    empty = [(_EMPTY, f"{folder}/") for folder in found.folders if folder not in full]
    return PeopleFolder(tuple(photos), tuple(loose), (*found.unused, *gather(root.name, empty)))


def list_identities(root: Path) -> PeopleFolder:
    """`list_people`; raises DataError where fewer than two have images, and counts loose images as unused."""
    people = list_people(root)
    if len(people.identities) < 2:
        found = f"only {people.identities[0]} has" if people.identities else "none has"
        lost = "".join(f"; {unused.sentence}" for unused in people.unused)
        raise DataError(
            f"{root} should hold a folder of images for each of two or more identities; {found}{lost}", _LAYOUT
        )
    return replace(people, unused=(*people.unused, *beside(root, people)))


def beside(root: Path, people: PeopleFolder) -> tuple[Unused, ...]:
    """Warnings about images that are in no folder of an identity."""
    return gather(root.name, [(_BESIDE, file.name) for file in people.loose])


@dataclass(frozen=True)
class Cuts:
    """Result for each photograph; entry i of every field belongs to photograph i."""

    state: np.ndarray  # (N,) of str
    why: np.ndarray  # (N,) of str, why it is unreadable, "" for others
    shape: np.ndarray  # (N, 2) height and width of the photograph, 0 where unreadable
    crops: ImageSet  # (N, 3, S, S), black where there is no face
    landmarks: np.ndarray  # (N, 5, 2) float32 in the crop, NaN where there is no face
    n_faces: np.ndarray  # (N,) int64
    faces: np.ndarray  # (sum of n_faces, 5, 2) float32 in the photographs, all faces

    def points(self, i: int) -> np.ndarray:
        """All faces of a photograph, (F, 5, 2) in its pixels; the first is the one that was cut."""
        return self.faces[self._ends[i] - self.n_faces[i] : self._ends[i]]

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return self.n_faces.cumsum()

    def facts(self) -> dict[str, np.ndarray]:
        """Yaw and pitch of each crop, in degrees, NaN where there is no face, and the number of faces there are.

        They are rounded to hundredths: the last digits differ from machine to machine, and the hash of a data set
        covers the facts.
        """
        yaw, pitch, _ = pose.pose(self.landmarks).round(2).T
        return {"yaw": yaw, "pitch": pitch, "faces": self.n_faces}


def left_out(
    where: str, names: Sequence[str], states: Sequence[str], why: Sequence[str], words: Mapping[str, str]
) -> tuple[Unused, ...]:
    """Tell by reason which images were not used: `words` has the states that mean so; `why` says more of one."""
    found = sorted(
        ((list(words).index(state), reason), name)
        for name, state, reason in zip(names, states, why, strict=True)
        if state in words
    )
    spoken = list(words.values())
    return gather(
        where, [(f"{spoken[k]}, {_phrase(reason)}" if reason else spoken[k], name) for (k, reason), name in found]
    )


def tell_left_out(unused: Sequence[Unused], n: int) -> list[str]:
    """Say it in one sentence a reason; `n` images there were."""
    return [f"{len(group.files)} of {n} images left out, {group.reason}: {some(group.files)}" for group in unused]


def tell_several(names: Sequence[str], n_faces: np.ndarray) -> list[str]:
    """Say in one sentence which images show several faces, where any does."""
    crowds = [name for name, n in zip(names, n_faces, strict=True) if n > 1]
    return (
        [
            f"{len(crowds)} of {len(names)} images show several faces; of each the largest and most central one was "
            f"taken for the person: {some(crowds)}"
        ]
        if crowds
        else []
    )


def _phrase(reason: str) -> str:
    short = reason.removeprefix("cannot be read: ")
    return f"it {reason}" if short == reason else short


def cut_faces(photos: Sequence[Photo], digests: np.ndarray, size: int, title: str, context: Context) -> Cuts:
    """Find and align the face of each photograph; cached by content (`hash_photos`), session by session in chunks.

    This always runs on the CPU: a crop must not depend on whether a machine has a GPU.
    """
    cutter = _Cutter(size)

    def recipe(block: slice) -> dict[str, object]:
        return {
            "photos": list(map(hashes.hex_digits, digests[block])),
            "size": size,
            "versions": VERSIONS,
            "stored": _STORED,
            "decoders": decoders(),
            "runtime": release("torch"),
        }

    chunks = in_blocks(
        title, "faces", _by_shoot(photos), recipe, lambda block: cutter.cut(photos[block]), context,
        length=length, at_once=_AT_ONCE,
    )  # fmt: skip
    state, shape, landmarks, n_faces, faces = (
        np.concatenate([chunk[name] for chunk in chunks])
        for name in ("state", "shape", "landmarks", "n_faces", "faces")
    )
    why = [bytes(row).rstrip(b"\0").decode("utf-8", "ignore") for chunk in chunks for row in chunk["why"]]
    crops = ImageSet.stored(chunks, "crops")
    return Cuts(np.array(_STATES, object)[state], np.array(why, object), shape, crops, landmarks, n_faces, faces)


def _by_shoot(photos: Sequence[Photo]) -> list[slice]:
    """Cut photographs into consecutive blocks of one shoot each, of _CHUNK at most."""
    blocks, start = [], 0
    while start < len(photos):
        end = start + 1
        while end < min(start + _CHUNK, len(photos)) and photos[end].shoot == photos[start].shoot:
            end += 1
        blocks.append(slice(start, end))
        start = end
    return blocks


class _Cutter:
    """Loads the detector when the first photograph is not cached."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.detector: detect.Detector | None = None

    def cut(self, photos: Sequence[Photo]) -> Arrays:
        self.detector = self.detector or detect.Detector(torch.device("cpu"))
        n = len(photos)
        state, shape = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
        why = np.zeros((n, _REASON), np.uint8)
        crops = np.zeros((n, self.size, self.size, 3), np.uint8)
        landmarks = np.full((n, 5, 2), np.nan, np.float32)
        n_faces, faces = np.zeros(n, np.int64), [np.zeros((0, 5, 2), np.float32)]
        for i, photo in enumerate(photos):
            try:
                image = read_image(photo.path)
            except BadImage as error:
                state[i] = _STATES.index(UNREADABLE)
                reason = error.reason.encode()[:_REASON]
                why[i, : len(reason)] = np.frombuffer(reason, np.uint8)
                continue
            shape[i] = image.shape[:2]
            found = self.detector.detect_photo(image)
            if found.probability[0] > 0:
                crops[i], landmarks[i] = align.align(image, found.landmarks[0], self.size)
                n_faces[i] = len(found.landmarks)
                faces.append(found.landmarks)
            else:
                state[i] = _STATES.index(NO_FACE)
        return {
            "state": state,
            "why": why,
            "shape": shape,
            "crops": crops,
            "landmarks": landmarks,
            "n_faces": n_faces,
            "faces": np.concatenate(faces),
        }
