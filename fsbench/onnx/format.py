"""Places of a network's numbers in ONNX's protocol buffer, without a library that reads the whole of it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsbench.weights import check_file

_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}  # how a field is written; bytes of one that is always as long
_DATA_LOCATION, _EXTERNAL = 14, 1
_PARTS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Field numbers of onnx.proto under which tensors are found."""


def keeps_numbers_elsewhere(path: Path) -> bool:
    """Tell whether a tensor's numbers lie in another file; False as well for a file that is damaged, or no ONNX."""
    with mapped(path) as content:
        return content is not None and _has_external_tensor(content)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap | None]:
    """Give the content of a file without reading it; None for one that is empty."""
    check_file(path)
    with path.open("rb") as file:
        if not file.seek(0, 2):
            yield None  # nothing to map
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _has_external_tensor(content: mmap.mmap) -> bool:
    waiting = [("model", 0, len(content))]  # a list, for a file may be nested deeper than Python recurses
    while waiting:
        kind, start, end = waiting.pop()
        try:
            for number, value, length in fields(content, start, end):
                if kind == "tensor" and (number, value, length) == (_DATA_LOCATION, _EXTERNAL, 0):
                    return True
                if length and number in _PARTS[kind]:
                    waiting.append((_PARTS[kind][number], value, value + length))
        except (IndexError, ValueError):
            return False
    return False


def fields(content: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, value and 0 of a field that is a whole number; number, start and length of one that is longer."""
    while position < end:
        key, position = whole_number(content, position)
        if key & 7 == _VARINT:
            value, position = whole_number(content, position)
            yield key >> 3, value, 0
            continue
        if key & 7 == _BYTES:
            length, position = whole_number(content, position)
        elif key & 7 in _FIXED:
            length = _FIXED[key & 7]
        else:
            raise ValueError("a field as ONNX has none")
        if position + length > end:
            raise ValueError("a field that is longer than what it is part of")
        yield key >> 3, position, length
        position += length


def whole_number(content: mmap.mmap, position: int) -> tuple[int, int]:
    """Return a number, seven bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        byte = content[position + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + shift // 7 + 1
    raise ValueError("a number of more than 64 bits")
