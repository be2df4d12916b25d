"""Reads checkpoints of TensorFlow without TensorFlow: a table of names (`.index`) and a file of numbers (`.data`).

The index is a table as LevelDB writes them (https://github.com/google/leveldb, doc/table_format.md): blocks of sorted
keys, each of which repeats the beginning of the one before. Its values are protocol buffers that say where the numbers
of a tensor lie (tensorflow/core/protobuf/tensor_bundle.proto). Checkpoints of one float32 data file are read; others,
and compressed blocks, which TensorFlow does not write, are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsbench.errors import CheckpointError

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER, _TRAILER = 48, 5  # bytes at the end of the table, and of each block
_FLOAT = 1  # DT_FLOAT
_LARGEST = 1 << 26  # bytes of an index; that of PRNet has 20,319


@dataclass(frozen=True)
class Variable:
    """Where the numbers of a tensor lie."""

    shape: tuple[int, ...]
    kind: int  # number of the type of its numbers
    shard: int
    offset: int
    size: int  # bytes


def read_index(path: Path) -> dict[str, Variable]:
    """Return the tensors of a checkpoint by name; raises CheckpointError for a file that is no such table."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        data = path.read_bytes()
        if len(data) < _FOOTER or data[-8:] != _MAGIC:
            raise ValueError("it does not end as a table does")
        _, _, at = _handle(data, len(data) - _FOOTER)  # of the meta index, which is empty
        start, size, _ = _handle(data, at)
        variables = {}
        for _, handle in _entries(_block(data, start, size)):
            begin, length, _ = _handle(handle, 0)
            for key, value in _entries(_block(data, begin, length)):
                if key:  # the first entry, of an empty key, describes the checkpoint
                    variables[key.decode()] = _variable(value)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}", "name the .index file of a checkpoint"
        ) from error
    except (ValueError, IndexError) as error:
        raise CheckpointError(
            f"{path} is damaged or no index of a TensorFlow checkpoint: {error}", "name the .index file of a checkpoint"
        ) from error
    return variables


def read_checkpoint(index: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a checkpoint by name; raises CheckpointError where data and index do not fit."""
    data = index.with_name(f"{index.name.removesuffix('.index')}.data-00000-of-00001")
    variables = {name: variable for name, variable in read_index(index).items() if variable.kind == _FLOAT}
    if not data.is_file():
        raise CheckpointError(f"there is no {data.name} beside {index}", "both files of the checkpoint are needed")
    numbers = np.memmap(data, np.uint8, "r") if data.stat().st_size else np.zeros(0, np.uint8)
    tensors = {}
    for name, variable in variables.items():
        end = variable.offset + variable.size
        if variable.shard or variable.size != 4 * math.prod(variable.shape) or end > len(numbers):
            raise CheckpointError(
                f"{data} is damaged: it does not hold {name} where {index.name} says", "copy it again"
            )
        tensors[name] = numbers[variable.offset : end].view("<f4").reshape(variable.shape).copy()
    return tensors


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number in it has no end")


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and the place behind them."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _block(data: bytes, offset: int, size: int) -> bytes:
    if offset + size + _TRAILER > len(data):
        raise ValueError("a block lies beyond its end")
    if data[offset + size] != 0:
        raise ValueError("it is compressed")
    return data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block."""
    n_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * n_restarts
    if end < 0:
        raise ValueError("a block is cut")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + rest + length > end:
            raise ValueError("a block is cut")
        key = key[:shared] + block[at : at + rest]
        yield key, block[at + rest : at + rest + length]
        at += rest + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            length, at = _varint(message, at)
        elif tag & 7 in (1, 5):
            length = 8 if tag & 7 == 1 else 4
        else:
            raise ValueError("a field is of a type that it cannot have")
        yield tag >> 3, message[at : at + length]
        at += length


def _variable(message: bytes) -> Variable:
    """Read a BundleEntryProto."""
    found = dict(_fields(message))
    shape = found.get(2, b"")
    sizes = [
        dict(_fields(dim)).get(1, 0) for number, dim in _fields(_bytes(shape)) if number == 2 for dim in [_bytes(dim)]
    ]
    kind, shard, offset, size = (found.get(k, 0) for k in (1, 3, 4, 5))
    numbers = (*sizes, kind, shard, offset, size)
    if not all(isinstance(value, int) for value in numbers):
        raise ValueError("an entry is no description of a tensor")
    return Variable(tuple(sizes), kind, shard, offset, size)  # type: ignore[arg-type]  # checked above


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("an entry is no description of a tensor")
    return value
