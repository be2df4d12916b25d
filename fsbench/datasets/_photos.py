"""Photographs in folders: which files there are, and the aligned face that each one shows."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fsbench.errors import BadImage, DataError, MissingData
from fsbench.faces import align, detect, pose
from fsbench.images import SUFFIXES, read_image
from fsbench.interfaces import Context
from fsbench.store import Arrays, file_sha256

USED, NO_FACE, UNREADABLE = "used", "no face", "unreadable"
_STATES = (USED, NO_FACE, UNREADABLE)
VERSIONS = (detect.VERSION, align.VERSION)
REVISION = (*VERSIONS, pose.VERSION)
"""What decides crops and facts, besides the files."""

_STORED = 2                                             # raised whenever the arrays that are cached change
_CHUNK = 32                                             # files cached together: what a killed process loses at most
_LINK_LENGTH = 255                                      # characters; longer texts are no destinations of links
_RUN = "plan.json"                                      # what `fsbench run` leaves in its folder
_LAYOUT = "lay it out as IDENTITY/SESSION/*.jpg, or as IDENTITY/*.jpg where sessions are not known"


@dataclass(frozen=True)
class Photo:
    """One file below the folder of an identity."""

    path: Path
    file: str                                           # its name in messages: path below the data set's folder
    identity: str
    session: str                                        # name of the sub-folder, "" where there is none

    @property
    def shoot(self) -> tuple[str, str]:
        """Identity and session."""
        return self.identity, self.session

    @property
    def is_image(self) -> bool:
        """By its name; whether it can be read is another matter."""
        return self.path.suffix.lower() in SUFFIXES

    def sha256(self) -> str:
        """Return the hash of its content, "" where it cannot be read; `cut_faces` then finds it unreadable."""
        try:
            return file_sha256(self.path)
        except OSError:
            return ""


def list_files(root: Path, layout: str = _LAYOUT) -> list[Photo]:
    """Return the files of all identities; raises DataError, whose hint is `layout`, for what is no such folder."""
    if not root.is_dir():
        raise MissingData(f"{root} is a file, not a folder" if root.exists() else f"there is no folder {root}", layout)
    if any((folder / _RUN).exists() for folder in (root, *root.iterdir())):
        raise DataError(f"{root} holds a run of fsbench, not photographs", layout)
    return [photo for item in _identity_folders(root).items() for photo in _photos_of(*item)]


def list_photos(root: Path) -> list[Photo]:
    """Return the files of all identities; raises DataError where fewer than two have images."""
    photos = list_files(root)
    identities = sorted({photo.identity for photo in photos if photo.is_image})
    if len(identities) < 2:
        found = f"only {identities[0]} has" if identities else "none has"
        raise DataError(f"{root} should hold a folder of images for each of two or more identities; {found}", _LAYOUT)
    return photos


def loose_images(root: Path) -> list[Path]:
    """Return the images that lie in no folder of an identity."""
    return [path for path in sorted(root.iterdir())
            if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def outside(root: Path) -> list[str]:
    """Return what no identity can be made of: images beside the folders, folders without an image."""
    loose = [path.name for path in loose_images(root)]
    empty = [f"{name}/" for name, folder in _identity_folders(root).items()
             if not any(photo.is_image for photo in _photos_of(name, folder))]
    return loose + empty


def _identity_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each identity, by name; a link to a folder is as good as a folder.

    A link to `root` or to a folder around it is no identity: it would show everybody.
    """
    whole = root.resolve()
    found = {path.name: _linked_folder(path) for path in sorted(root.iterdir()) if not path.name.startswith(".")}
    return {name: folder for name, folder in found.items()
            if folder is not None and not whole.is_relative_to(folder.resolve())}


def _linked_folder(path: Path) -> Path | None:
    """Return the folder that `path` is or leads to.

    Where links cannot be made, git writes a link as a text file that holds its destination; that counts, too.
    """
    try:
        if path.is_dir():
            return path
        if path.suffix or not path.is_file() or path.stat().st_size > 4 * _LINK_LENGTH:
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) != 1 or len(lines[0]) >= _LINK_LENGTH:
            return None
        destination = path.parent / lines[0].strip()
        return destination if destination.is_dir() else None
    except OSError:                                      # not to be read, or no name that this system knows
        return None


def _photos_of(identity: str, folder: Path) -> list[Photo]:
    """Return all files of one identity by session and name, without hidden ones.

    What lies deeper in a session belongs to that session. Links are followed; a folder counts where it is met first,
    and a folder around the identity's own never, for other people are in it.
    """
    found: list[Photo] = []
    home, seen = folder.resolve(), set()
    for place, below, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        if here in seen or here in home.parents:
            below.clear()
            continue
        seen.add(here)
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = Path(place).relative_to(folder)
        session = inside.parts[0] if inside.parts else ""
        found += [Photo(Path(place, name), (Path(identity) / inside / name).as_posix(), identity, session)
                  for name in sorted(names) if not name.startswith(".")]
    return found


@dataclass(frozen=True)
class Cuts:
    """What became of each photograph; entry i of every field belongs to photograph i."""

    state: np.ndarray                                   # (N,) of str
    shape: np.ndarray                                   # (N, 2) height and width of the photograph, 0 where unreadable
    crops: np.ndarray                                   # (N, S, S, 3) uint8, black where there is no face
    landmarks: np.ndarray                               # (N, 5, 2) float32 in the crop, NaN where there is no face
    points: np.ndarray                                  # (N, 5, 2) float32 in the photograph, NaN likewise

    def facts(self) -> dict[str, np.ndarray]:
        """Yaw and pitch of each crop, in degrees, NaN where there is no face.

        To hundredths: the last digits differ from machine to machine, and the hash of a data set covers them.
        """
        yaw, pitch, _ = pose.pose(self.landmarks).round(2).T
        return {"yaw": yaw, "pitch": pitch}


def some(names: Sequence[str]) -> str:
    """Return the first few names and how many follow."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def left_out(files: Sequence[str], states: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    """Say for each reason, by state, which files were not used; one sentence each."""
    of = {state: [file for file, found in zip(files, states, strict=True) if found == state] for state in reasons}
    return [f"{len(names)} of {len(files)} images left out, {reasons[state]}: {some(names)}"
            for state, names in of.items() if names]


def cut_faces(photos: Sequence[Photo], hashes: Sequence[str], size: int, title: str, context: Context) -> Cuts:
    """Find and align the face of each photograph; cached by content, session by session in chunks.

    Always on the CPU: a crop must not depend on whether a machine has a GPU.
    """
    progress = context.stage(title)
    cutter = _Cutter(size)
    chunks, start = [], 0
    while start < len(photos):
        end = start + 1
        while end < min(start + _CHUNK, len(photos)) and photos[end].shoot == photos[start].shoot:
            end += 1
        recipe = {"photos": hashes[start:end], "size": size, "versions": VERSIONS, "stored": _STORED}
        chunks.append(context.store.arrays("faces", recipe, functools.partial(cutter.cut, photos[start:end])))
        progress(end, len(photos), {})
        start = end
    merged = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    state = np.array(_STATES)[merged.pop("state")]
    return Cuts(state, **merged)


class _Cutter:
    """Loads the detector when the first photograph is not cached."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.detector: detect.Detector | None = None

    def cut(self, photos: Sequence[Photo]) -> Arrays:
        self.detector = self.detector or detect.Detector(torch.device("cpu"))
        n = len(photos)
        state, shape = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
        crops = np.zeros((n, self.size, self.size, 3), np.uint8)
        landmarks, points = np.full((2, n, 5, 2), np.nan, np.float32)
        for i, photo in enumerate(photos):
            try:
                image = read_image(photo.path)
            except BadImage:
                state[i] = _STATES.index(UNREADABLE)
                continue
            shape[i] = image.shape[:2]
            found = self.detector.detect_photo(image)
            if found.probability[0] > 0:
                points[i] = found.landmarks[0]
                crops[i], landmarks[i] = align.align(image, points[i], self.size)
            else:
                state[i] = _STATES.index(NO_FACE)
        return {"state": state, "shape": shape, "crops": crops, "landmarks": landmarks, "points": points}
