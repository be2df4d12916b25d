"""Images, faces, data sets, and what a run offers its plug-ins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.choices import Precision
from fsbench.files import Unused

if TYPE_CHECKING:
    from fsbench.events import Event
    from fsbench.images import ImageSet
    from fsbench.store import Store


Split = Literal["train", "test", "gallery"]
SPLITS: tuple[Split, ...] = ("train", "test", "gallery")


class Progress(Protocol):
    """Told how far a long piece of work is; `figures` are shown beside the bar (losses, rates)."""

    def __call__(self, done: float, total: float, figures: Mapping[str, float] = ...) -> None: ...


def silent(done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class Context:
    """What a run offers its plug-ins; one whose constructor names a parameter `context` is given it."""

    device: torch.device
    store: Store
    data_root: Path
    path: str = ""  # what followed `@` or `:` in the specification
    precision: Precision = "float32"  # wanted of networks that judge or observe: see `reduced`
    stage: Callable[[str], Progress] = lambda title: silent  # opens a progress bar with that title
    log: Callable[[str], None] = lambda message: None
    tell: Callable[[Event], None] = lambda event: None  # of what `fsbench.events` has beside stages and messages

    def reduced(self) -> torch.autocast:
        """Let convolutions and products in a `with` block compute in `precision`, whatever autocast is on around it.

        A network that uses it says so (`precision=context.precision` in its info), and keeps all else out of the block:
        alignment and resizing in 8 bits of mantissa would move pixels.
        """
        kind, dtype = self.device.type, getattr(torch, self.precision)
        return torch.autocast(kind, dtype if dtype != torch.float32 else None, enabled=dtype != torch.float32)


@dataclass(frozen=True)
class Faces:
    """Aligned crops and what is known about each; entry i of every field belongs to crop i.

    `rows` has the columns `id` (unique, usable as a relative path), `identity`, `session`, `clip` ("" for a still) and
    `frame` (int), and any number of float columns with facts about the image (`yaw`, `pitch` in degrees, ...). Images
    of one identity, session and clip are frames of one video; two frames whose numbers differ by 1 follow each other,
    and `rate`, where it is known, says how many do in a second.
    """

    crops: ImageSet  # (N, 3, S, S)
    rows: pd.DataFrame
    landmarks: np.ndarray  # (N, 5, 2) float32: eyes, nose tip, mouth corners, image-left first
    masks: ImageSet | None = None  # (N, 1, S, S) face region, where it is known

    def __len__(self) -> int:
        return len(self.rows)

    def content_hash(self) -> str:
        """SHA-256 over pixels, names, facts, landmarks and masks, 64 hex digits."""
        digest = hashlib.sha256(self.crops.content_hash().encode())
        digest.update(self.rows.to_csv(index=False).encode())
        digest.update(np.ascontiguousarray(self.landmarks, np.float32).tobytes())
        digest.update((self.masks.content_hash() if self.masks is not None else "").encode())
        return digest.hexdigest()

    @property
    def identities(self) -> list[str]:
        """Names in order of first appearance."""
        return [str(name) for name in self.rows["identity"].unique()]

    def select(self, keep: np.ndarray | Sequence[int] | slice) -> Faces:
        """Return the entries that a boolean mask, a list of indices or a slice names, in that order."""
        keep = np.arange(len(self))[keep] if isinstance(keep, slice) else np.asarray(keep)
        index = np.flatnonzero(keep) if keep.dtype == bool else keep.astype(np.int64)
        return Faces(
            self.crops.select(index),
            self.rows.iloc[index].reset_index(drop=True),
            self.landmarks[index],
            self.masks.select(index) if self.masks is not None else None,
        )

    def of(self, identity: str) -> Faces:
        """Return the entries of one identity."""
        return self.select((self.rows["identity"] == identity).to_numpy())


def clip_names(rows: pd.DataFrame) -> pd.Series[str]:
    """Name the clip of each row of `Faces.rows`, `identity/session/clip`; "" for a still."""
    moving = (rows["clip"] != "").to_numpy()
    frames = rows[moving]
    names = np.full(len(rows), "", object)
    names[moving] = (
        frames["identity"].astype(str) + "/" + frames["session"].astype(str) + "/" + frames["clip"].astype(str)
    )
    return pd.Series(names, rows.index, dtype=str)


def clip_spans(names: pd.Series[str]) -> tuple[slice, ...]:
    """Where each clip lies in rows whose clips, called `names` ("" for a still), stand side by side."""
    first = np.flatnonzero((names != names.shift()).to_numpy())
    ends = [*first[1:], len(names)]
    spans = [slice(int(start), int(end)) for start, end in zip(first, ends, strict=True)]
    return tuple(span for span in spans if names.iloc[span.start])


@dataclass(frozen=True)
class Source:
    """The person whose identity an output should show."""

    identity: str
    images: Tensor  # (K, 3, S, S) training crops, spread over sessions


@dataclass(frozen=True)
class Truth:
    """The exact answer to a set of pairs."""

    exact: ImageSet  # (N, 3, S, S)
    mask: ImageSet  # (N, 1, S, S) where target or exact output shows the face


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set says about itself; `notes` and `warnings` are printed and stored with every result."""

    name: str
    revision: str  # changes whenever an image, a split or a crop could change
    size: int  # pixels, height and width of a crop
    description: str
    licence: str
    splits: tuple[Split, ...]
    synthetic: bool = False
    sources: tuple[str, ...] = ()  # identities that are put into others; empty: all
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[Unused, ...] = ()  # files and folders that were there, by reason; `warnings` tells of them in short


class Dataset(Protocol):
    """Aligned face images of several identities, split by session."""

    @property
    def info(self) -> DatasetInfo: ...

    def faces(self, split: Split) -> Faces:
        """Return one split; raises DataError where the data set does not have it."""
        ...

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return the exact swaps of identity `source` into entries of this data set, None where they are not known."""
        ...


@runtime_checkable
class WithVideos(Protocol):
    """A data set whose frames were read from videos: what another writing and reading changes can be measured."""

    def written(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """`WithFrames.frames` of consecutive entries of one clip, after these were written to a video and read again.

        It is written as `fsbench swap` writes by default. Raises DataError, OutputError.
        """
        ...


@runtime_checkable
class WithFrames(Protocol):
    """A data set that knows the frames which its crops were cut from: `fsbench run --stage frame` puts outputs back."""

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The frame of each of some entries of this data set, in their order, and the faces that were found there.

        Frames are (H, W, 3) uint8 RGB of any size, read one at a time. Faces are landmarks (F, 5, 2) in their pixels,
        the one that was cut first. Raises DataError for an entry that this data set does not have.
        """
        ...
