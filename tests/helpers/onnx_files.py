"""ONNX files written by hand, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FLOAT, INT64, INTS = 1, 7, 7
Shape = tuple[int | str, ...]


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name: str, shape: Shape, kind: int = FLOAT) -> bytes:
    sizes = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))


def node(operator: str, given: str, answer: str, **lists: tuple[int, ...]) -> bytes:
    attributes = b"".join(
        field(5, field(1, name) + b"".join(field(8, item) for item in items) + field(20, INTS))
        for name, items in lists.items()
    )
    return field(1, given) + field(2, answer) + field(4, operator) + attributes


def write_model(path: Path, nodes: list[bytes], inputs: list[bytes], outputs: list[bytes], more: bytes = b"") -> Path:
    graph = more + b"".join(field(1, one) for one in nodes) + field(2, "graph")
    graph += b"".join(field(11, one) for one in inputs) + b"".join(field(12, one) for one in outputs)
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return path


def constant(name: str, *values: float) -> bytes:
    shape = (1, len(values), 1, 1) if len(values) > 1 else ()
    dims = b"".join(field(1, size) for size in shape)
    return field(5, dims + field(2, FLOAT) + field(8, name) + field(9, np.array(values, np.float32).tobytes()))


def binary(operator: str, first: str, second: str, answer: str) -> bytes:
    return field(1, first) + field(1, second) + field(2, answer) + field(4, operator)


def tensor(name: str, values: np.ndarray) -> bytes:
    """An initializer of any shape, float32 or int64."""
    kind = INT64 if values.dtype == np.int64 else FLOAT
    dims = b"".join(field(1, size) for size in values.shape)
    raw = values.astype("<i8" if kind == INT64 else "<f4").tobytes()
    return field(5, dims + field(2, kind) + field(8, name) + field(9, raw))
