"""Shards: files of rows that never change, with an index and digests.

A safetensors file: `index/hashes` (N, 32), `index/checks` (N, 16) and `rows/NAME` (N, ...). Its metadata holds a digest
over the key that it belongs to, names, types and shapes of its arrays, and both parts of the index; its name is the
beginning of that digest. A check is the digest of one row and its hash: to believe one row nobody reads the others.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fsbench.atomic import atomic_path
from fsbench.hashes import HASH
from fsbench.stored import Place, header_of, layout_of, open_regular

Rows = dict[str, np.ndarray]
"""Arrays by name; entry i of each belongs to image i."""

SUFFIX = ".safetensors"

_STEM = 20  # hex digits of the digest in the name of the file
_CHECK = 16  # bytes that are kept of the digest of a row
_HASHES, _CHECKS, _ROWS = "index/hashes", "index/checks", "rows/"


@dataclass(frozen=True, eq=False)
class Shard:
    """Some rows of one key and their index, in memory or memory-mapped."""

    hashes: np.ndarray  # (N, 32) uint8
    checks: np.ndarray  # (N, 16) uint8
    rows: Rows  # (N, ...) each
    path: Path = field(default_factory=Path)
    state: tuple[int, ...] = ()  # of its file, when it was opened
    index: mmap.mmap | None = None  # what hashes and checks lie in, where they are mapped

    @classmethod
    def of(cls, hashes: np.ndarray, rows: Mapping[str, np.ndarray]) -> Shard:
        """Make a shard of rows in memory."""
        arrays = {name: np.ascontiguousarray(array) for name, array in rows.items()}
        checks = np.zeros((len(hashes), _CHECK), np.uint8)
        unchecked = cls(hashes, checks, arrays)
        return cls(hashes, unchecked._digests(np.arange(len(hashes))), arrays)

    @classmethod
    def read(cls, path: Path, key: str) -> Shard:
        """Map a shard of a key and check its index; raises OSError and ValueError for what is no such file."""
        with open_regular(path) as file:
            places, facts = layout_of(file)
            state = state_of(os.fstat(file.fileno()))
            index = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            given = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # who writes into it changes no file
        if not {_HASHES, _CHECKS} <= places.keys():
            raise ValueError("it has no index")
        hashes, checks = (_array(index, places.pop(name)) for name in (_HASHES, _CHECKS))
        rows = {name.removeprefix(_ROWS): _array(given, place) for name, place in places.items()}
        shard = cls(hashes, checks, rows, path, state, index)
        digest = facts.get("digest", "")
        if not (shard._is_regular() and shard.digest(key) == digest and path.stem == digest[:_STEM]):
            raise ValueError("it is not what was written under its name")
        shard.release()
        return shard

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def layout(self) -> str:
        """Names, types and shapes of the rows; shards of one layout can be merged."""
        return json.dumps({name: [array.dtype.str, array.shape[1:]] for name, array in sorted(self.rows.items())})

    def digest(self, key: str) -> str:
        """Digest of all but the rows, whose own are in it, 64 hex digits."""
        digest = hashlib.sha256(json.dumps([key, self.layout]).encode())
        digest.update(np.ascontiguousarray(self.hashes).data)
        digest.update(np.ascontiguousarray(self.checks).data)
        return digest.hexdigest()

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Where the row of each hash is, (Q, 32) -> (Q,), -1 where it is not here."""
        starts, order = self._sorted
        near = np.minimum(np.searchsorted(starts, _starts(hashes)), len(self) - 1)
        places: np.ndarray = np.where((self.hashes[order[near]] == hashes).all(1), order[near], -1)
        return places

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The first bytes of all hashes in order, as numbers, and the rows that they are of."""
        starts = _starts(self.hashes)
        order = np.argsort(starts, kind="stable")
        return starts[order], order

    def intact(self, places: np.ndarray) -> np.ndarray:
        """Whether the rows at these places are what was written, (Q,) bool."""
        right: np.ndarray = (self._digests(places) == self.checks[places]).all(1)
        return right

    def _digests(self, places: np.ndarray) -> np.ndarray:
        """Digest of each of these rows with its hash, (Q, 16) uint8."""
        parts = [self.hashes, *(self.rows[name] for name in sorted(self.rows))]
        parts = [part.reshape(len(self), -1).view(np.uint8) for part in parts if part.size]
        digests = bytearray()
        for place in places:
            digest = hashlib.sha256()
            for part in parts:
                digest.update(part[place])
            digests += digest.digest()[:_CHECK]
        return np.frombuffer(bytes(digests), np.uint8).reshape(-1, _CHECK)

    def release(self) -> None:
        """Give the memory of a mapped index back: it is read again where something is looked for."""
        if self.index is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.index.madvise(mmap.MADV_DONTNEED)

    def take(self, places: np.ndarray) -> Shard:
        """Some of the rows, in memory."""
        return Shard(self.hashes[places], self.checks[places], {name: a[places] for name, a in self.rows.items()})

    def _is_regular(self) -> bool:
        """Whether its parts have one length, which is not 0, and the index has its shape."""
        (n, *others) = {array.shape[:1] for array in (self.hashes, self.checks, *self.rows.values())}
        index = [(array.dtype.str, array.shape) for array in (self.hashes, self.checks)]
        return not others and n > (0,) and index == [("|u1", (*n, HASH)), ("|u1", (*n, _CHECK))]


def write_shard(folder: Path, key: str, parts: Sequence[Shard]) -> Path:
    """Write the rows of shards of one layout as one shard, atomically, and return its path. Raises OutputError.

    The rows are not copied in memory.
    """
    hashes, checks = np.concatenate([part.hashes for part in parts]), np.concatenate([part.checks for part in parts])
    names = sorted(parts[0].rows, key=lambda name: (-parts[0].rows[name].itemsize, name))  # each begins aligned
    columns = {_HASHES: [hashes], _CHECKS: [checks]} | {
        _ROWS + name: [part.rows[name] for part in parts] for name in names
    }
    digest = replace(parts[0], hashes=hashes, checks=checks).digest(key)
    layout = [(name, arrays[0].dtype, (len(hashes), *arrays[0].shape[1:])) for name, arrays in columns.items()]
    path = folder / f"{digest[:_STEM]}{SUFFIX}"
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(header_of(layout, {"digest": digest}))
        for array in (array for arrays in columns.values() for array in arrays if array.nbytes):
            file.write(array.data)
    return path


def state_of(status: os.stat_result) -> tuple[int, ...]:
    """What tells a file from another one under its name, and from one that was written over."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _starts(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes[:, :8]).view("<u8")[:, 0]


def _array(mapped: mmap.mmap, place: Place) -> np.ndarray:
    return np.frombuffer(mapped, np.uint8)[place.start : place.end].view(place.dtype).reshape(place.shape)
