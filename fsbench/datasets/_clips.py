"""Clips in folders: which images are consecutive frames, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from fsbench.errors import DataError
from fsbench.files import some

CLIP_VERSION = 1
"""Raised whenever an image could become a frame, or another one; part of the revision."""

_COVERED = 0.5  # share of the numbers from the first to the last that is there, at least
_NUMBERED = re.compile(r"(.*?)(\d{1,12})")
_STILLS = (
    "{n} folders hold no frames of a clip, by their names, and their images count as stills (frames are numbered, two "
    "or more in a folder, most numbers there): {folders}"
)
_GAPS = "frames are missing, and motion is not measured across the gaps: {gaps}"
_SIZES = "frames are not all of one size, so that alignment may jump: {clips}"
_SAME = "{n} frames have the same bytes as the frame before them: {frames}"
SPLIT_HINT = "put each clip into a folder of its own, IDENTITY/SESSION/FRAME.png: a session is never split"


@dataclass(frozen=True)
class ClipFrames:
    """The clip of each file of a data set and its number in it; entry i of every field belongs to file i."""

    clip: np.ndarray  # (N,) of str, "" for a still
    frame: np.ndarray  # (N,) int64, 0 for a still
    repeated: np.ndarray  # (N,) bool: another file has the same number in the same clip
    stills: tuple[str, ...]  # folders of images that are no frames

    @classmethod
    def none(cls, n: int) -> ClipFrames:
        """No clips among `n` files."""
        return cls(np.full(n, "", object), np.zeros(n, np.int64), np.zeros(n, bool), ())

    @classmethod
    def find(cls, files: Sequence[str]) -> ClipFrames:
        """Find the clips among files IDENTITY/.../NAME: a folder below an identity whose names are numbered frames.

        Raises DataError where the frames of a clip lie in the folder of an identity: their session is not known, and
        a clip would be split over train and test.
        """
        found = cls.none(len(files))
        folders: dict[str, list[int]] = {}
        for i, file in enumerate(files):
            folders.setdefault(str(PurePosixPath(file).parent), []).append(i)
        loose, stills = [], []
        for folder, rows in folders.items():
            numbers = _numbers([PurePosixPath(files[i]).stem for i in rows])
            identity, *inside = folder.split("/")
            if numbers is None:
                stills += [folder] if inside else []
            elif not inside:
                loose.append(identity)
            else:
                found.clip[rows] = "/".join(inside[1:]) or inside[0]
                found.frame[rows] = numbers
                found.repeated[rows] = _repeated(numbers)
        if loose:
            raise DataError(
                f"with clips=true the images of {some(loose)} are frames of one clip, which would be split over train "
                "and test",
                SPLIT_HINT,
            )
        return cls(found.clip, found.frame, found.repeated, tuple(stills))

    def warnings(
        self, files: Sequence[str], content: Sequence[bytes], shapes: np.ndarray, used: np.ndarray
    ) -> list[str]:
        """Say what is odd about the clips; `shapes` (N, 2) of the pictures; frames that are not `used` are missing."""
        gaps, sizes, same = [], [], []
        folder = np.array([str(PurePosixPath(file).parent) for file in files], object)
        for name in dict.fromkeys(folder[(self.clip != "") & used]):
            rows = np.flatnonzero((folder == name) & used)
            rows = rows[np.argsort(self.frame[rows], kind="stable")]
            numbers = self.frame[rows]
            missing = np.setdiff1d(np.arange(numbers[0], numbers[-1] + 1), numbers)
            gaps += [f"{name} lacks {some([str(number) for number in missing])}"] if len(missing) else []
            sizes += [name] if len({*map(tuple, shapes[rows].tolist())}) > 1 else []
            same += [files[int(b)] for a, b in pairwise(rows) if content[int(a)] == content[int(b)]]
        said = [_STILLS.format(n=len(self.stills), folders=some(list(self.stills)))] if self.stills else []
        said += [_GAPS.format(gaps="; ".join(gaps[:3]) + (f"; {len(gaps) - 3} more clips" * (len(gaps) > 3)))] * bool(
            gaps
        )
        said += [_SIZES.format(clips=some(sizes))] * bool(sizes)
        return said + [_SAME.format(n=len(same), frames=some(same))] * bool(same)


def _numbers(stems: Sequence[str]) -> np.ndarray | None:
    """The numbers at the end of names that differ in nothing else, None where they are no consecutive frames."""
    matches = [_NUMBERED.fullmatch(stem) for stem in stems]
    if len(stems) < 2 or None in matches or len({match[1] for match in matches if match}) > 1:
        return None
    numbers = np.array([int(match[2]) for match in matches if match], np.int64)
    different = len(np.unique(numbers))
    return numbers if different > 1 and different >= _COVERED * (np.ptp(numbers) + 1) else None


def _repeated(numbers: np.ndarray) -> np.ndarray:
    """Which numbers stand a second time."""
    again = np.ones(len(numbers), bool)
    again[np.unique(numbers, return_index=True)[1]] = False
    return again
