"""One entry of the store: arrays that stay in their file until some of their rows are asked for."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fsbench.atomic import touch
from fsbench.errors import OutputError

T = TypeVar("T")
DTYPES = {
    **{f"{kind}{8 * size}": np.dtype(f"{kind.lower()}{size}") for kind in "UI" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    "BOOL": np.dtype(bool),
}
"""Types of arrays, as safetensors calls them."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}

_PORTION = 2**20
"""Bytes of an array that are hashed at a time."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where an array lies in a safetensors file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # byte of the file
    end: int

    @property
    def is_filled(self) -> bool:
        """Whether its bytes are those of an array of its shape."""
        return min((0, *self.shape)) == 0 and self.end - self.start == math.prod(self.shape) * self.dtype.itemsize

    def read(self, file: FileIO, begin: int = 0, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """An array of this type, by default the whole, from row `begin` on; raises ValueError where the file ends."""
        array = np.empty(self.shape if shape is None else shape, self.dtype)
        file.seek(self.start + (begin * (self.end - self.start) // self.shape[0] if begin else 0))
        if array.nbytes and file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
            raise ValueError("it ends too early")
        return array


class StoredArrays(Mapping[str, np.ndarray]):
    """Arrays of a store by name, which stay on disk: only what is asked for is read.

    The digest is verified when the file is first opened, and again whenever its state (size, times, place on the disk)
    is another one than it was then. An entry that is damaged or gone is computed again. Files are read and not mapped:
    a map of a file that another process cuts short ends this process, and its pages count as memory of this process.

    `paths` gives the files that may hold the entry `name`. `renew` computes and writes it, and returns where.
    """

    __slots__ = ("_name", "_path", "_paths", "_places", "_renew", "_state", "_tell_damage")

    def __init__(
        self, name: str, paths: Callable[[], Sequence[Path]], renew: Callable[[], Path], tell_damage: Callable[[], None]
    ) -> None:
        self._name, self._paths, self._renew, self._tell_damage = name, paths, renew, tell_damage
        self._path = Path()
        self._state: tuple[int, ...] = ()  # of the file when its digest was verified
        self._places: Mapping[str, Extent] = {}

    @property
    def name(self) -> str:
        """Kind and key, or what nothing else is called where it has no key."""
        return self._name

    def find(self) -> bool:
        """Look for a file that holds it; without one, it is computed when an array is asked for."""
        return any(map(self._verify, self._paths()))

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read(lambda file: self._places[name].read(file))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> Mapping[str, Extent]:
        if not self._places and not self.find():
            self._compute()
        return self._places

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self._known()[name].shape

    def rows(self, name: str, index: np.ndarray) -> np.ndarray:
        """Return some rows of an array, (K,) of int -> (K, ...); neighbours are read at once."""
        array = self._known()[name]
        wanted, place = np.unique(index, return_inverse=True)
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1) if len(wanted) else []

        def read(file: FileIO) -> np.ndarray:
            array = self._places[name]  # now that the file was verified
            parts = [array.read(file, int(run[0]), (len(run), *array.shape[1:])) for run in runs]
            rows = np.concatenate(parts) if len(parts) != 1 else parts[0]
            return rows if np.array_equal(index, wanted) else rows[place]

        return self._read(read) if runs else np.empty((0, *array.shape[1:]), array.dtype)

    def _read(self, read: Callable[[FileIO], T]) -> T:
        """What `read` gives for the file; raises OutputError where its content is another one time after time."""
        for _ in range(3):
            with suppress(OSError, ValueError), open_regular(self._path) as file:
                if _state(file) == self._state:
                    return read(file)
            if not self.find():
                self._compute()
        raise OutputError(f"{self._path} is changed while it is read", "leave the cache alone, and run again")

    def _verify(self, path: Path) -> bool:
        """Take a file for this entry if its digest is right; tell of one that is not."""
        if not os.path.lexists(path):
            return False
        with suppress(OSError, ValueError), open_regular(path) as file:
            places, facts = layout_of(file)
            if facts.get("digest") == _digest(file, self._name, places):
                touch(path)
                self._path, self._state, self._places = path, _state(file), places
                return True
        self._tell_damage()
        return False

    def _compute(self) -> None:
        """Take a new file; what was written just now is not read to verify it."""
        path = self._renew()
        with path.open("rb", buffering=0) as file:
            self._path, self._state, self._places = path, _state(file), layout_of(file)[0]


def header_of(
    layout: Iterable[tuple[str, np.dtype[Any], tuple[int, ...]]], facts: Mapping[str, str] | None = None
) -> bytes:
    """The head of a safetensors file: name, type and shape of each array, which follow in this order, and facts."""
    header: dict[str, Any] = {"__metadata__": dict(facts)} if facts else {}
    end = 0
    for name, dtype, shape in layout:
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def open_regular(path: Path) -> FileIO:
    """Open a file unbuffered; raises OSError for anything else, which could take for ever to open."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.open("rb", buffering=0)


def _state(file: FileIO) -> tuple[int, ...]:
    state = os.fstat(file.fileno())
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def layout_of(file: FileIO) -> tuple[dict[str, Extent], dict[str, str]]:
    """Where the arrays of a safetensors file lie, and its facts; raises ValueError for what is no such file."""
    size = os.fstat(file.fileno()).st_size
    end = 8 + int.from_bytes(file.read(8), "little")
    if not 8 < end <= size:
        raise ValueError("its header is longer than the file")
    try:
        header = json.loads(file.read(end - 8))
        facts = dict(header.pop("__metadata__", {}))
        places = {
            str(name): Extent(
                DTYPES[array["dtype"]],
                tuple(map(int, array["shape"])),
                *(end + int(at) for at in array["data_offsets"]),
            )
            for name, array in header.items()
        }
        fits = all(end <= place.start <= place.end <= size and place.is_filled for place in places.values())
    except (AttributeError, KeyError, OverflowError, TypeError, RecursionError) as error:
        raise ValueError("it is no safetensors file") from error
    if not fits:
        raise ValueError("its arrays are longer than the file")
    return places, facts


def _digest(file: FileIO, name: str, places: Mapping[str, Extent]) -> str:
    """Digest over an entry's name and arrays, as `Store` writes it; little of the file is read at a time."""
    digest = hashlib.sha256(name.encode())
    for array, place in sorted(places.items()):
        digest.update(f"/{array}:{place.dtype.str}{place.shape}:".encode())
        file.seek(place.start)
        for at in range(place.start, place.end, _PORTION):
            digest.update(file.read(min(_PORTION, place.end - at)))
    return digest.hexdigest()
