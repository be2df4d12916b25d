"""The beginning of an ONNX graph: what happens to an image before the first layer, and how large tensors say they are.

Only what this needs of onnx.proto is read; a file that cannot be read so far is None, and ONNX Runtime says why.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fsbench.onnx.format import fields, mapped, whole_number

_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_NUMBERS = {4: "<f4", 10: "<f8"}  # fields of numbers that are written one after another
_SMALL = 4096
"""Numbers of the largest constant that is read: one for each channel, or a shape."""

_HANDED_ON = {
    "Identity",
    "Cast",
    "Transpose",
    "Gather",
    "Slice",
    "Split",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Clip",
    "Resize",
    "Pad",
    "Dropout",
}
"""Operators that move pixels and leave their levels as they are."""

_MADE = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}  # operators that make as many numbers as an input says
_MOST_MADE = 1 << 28


@dataclass(frozen=True)
class Node:
    """An operator, the names that it takes and gives, and its attributes that are numbers."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, float]


@dataclass
class Graph:
    """Nodes in their order, and small constants by name."""

    inputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    largest: int = 0  # numbers of the largest tensor, as it says
    tensors: set[str] = field(default_factory=set)

    def excess(self, n_bytes: int) -> str:
        """What of the graph asks for more memory than a file of so many bytes can need; "" for nothing."""
        if self.largest > 16 * n_bytes:
            return f"it declares a tensor of {self.largest:.3g} numbers in {n_bytes:,} bytes"
        for node in self.nodes:
            place = _MADE.get(node.operator, len(node.inputs))
            shape = self.constants.get(node.inputs[place]) if place < len(node.inputs) else None
            if shape is not None and math.prod(max(0.0, float(n)) for n in shape.flat) > _MOST_MADE:
                return f"its {node.operator} makes {math.prod(map(float, shape.flat)):.3g} numbers"
        return ""

    def affine(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Scale and shift of each channel, (1 or 3,) float64, that levels meet before the first layer; None for none.

        A batch normalisation counts as what it centres and scales by; what it makes of that is a layer's affair.
        """
        images = [name for name in self.inputs if name not in self.tensors]
        if len(images) != 1:
            return None
        name, scale, shift = images[0], np.ones(1), np.zeros(1)
        for _ in range(len(self.nodes)):
            node = next((node for node in self.nodes if name in node.inputs), None)
            step = None if node is None else self._step(node, name)
            if node is None or step is None or not node.outputs:
                break
            scale, shift, name = scale * step[0], shift * step[0] + step[1], node.outputs[0]
            if node.operator == "BatchNormalization":
                break
        plain = (scale == 1).all() and (shift == 0).all()
        return None if plain or not (np.isfinite(scale) & np.isfinite(shift) & (scale != 0)).all() else (scale, shift)

    def _step(self, node: Node, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Scale and shift of one node; None for a layer."""
        if node.operator in _HANDED_ON:
            return (np.ones(1), np.zeros(1)) if node.inputs[0] == name else None
        given = [self.constants.get(other) for other in node.inputs if other != name]
        values = [value.astype(np.float64).ravel() for value in given if value is not None and value.size in (1, 3)]
        if len(values) != len(node.inputs) - 1:
            return None
        with np.errstate(all="ignore"):
            match node.operator, values:
                case "Add", [c]:
                    return np.ones(1), c
                case "Sub", [c]:
                    return (np.ones(1), -c) if node.inputs[0] == name else (-np.ones(1), c)
                case "Mul", [c]:
                    return c, np.zeros(1)
                case "Div", [c] if node.inputs[0] == name:
                    return 1 / c, np.zeros(1)
                case "BatchNormalization", [_, _, mean, variance]:
                    spread = np.sqrt(variance + node.numbers.get("epsilon", 1e-5))
                    return 1 / spread, -mean / spread
        return None


def read_graph(path: Path) -> Graph | None:
    """Read the graph of an ONNX file; None for a file that is damaged, or no ONNX."""
    with mapped(path) as content:
        try:
            return _graph(content) if content is not None else None
        except (IndexError, ValueError, OverflowError):
            return None


def _graph(content: mmap.mmap) -> Graph | None:
    found = Graph()
    parts = [(start, start + length) for number, start, length in fields(content, 0, len(content)) if number == 7]
    for start, end in parts[:1]:
        for number, value, length in fields(content, start, end):
            if number == 1:
                _add_node(found, content, value, value + length)
            elif number == 5:
                _add_tensor(found, content, value, value + length)
            elif number == 11:
                found.inputs += _texts(content, value, value + length, 1)
    return found if found.nodes else None


def last_initializer(path: Path, most: int) -> np.ndarray | None:
    """Return the last constant that a graph lists, in its shape; None where there is none of at most `most` numbers."""
    with mapped(path) as content:
        try:
            return _last_initializer(content, most) if content is not None else None
        except (IndexError, ValueError, OverflowError):
            return None


def _last_initializer(content: mmap.mmap, most: int) -> np.ndarray | None:
    whole = fields(content, 0, len(content))
    graphs = [(start, start + length) for number, start, length in whole if number == 7]
    tensors = [place for start, end in graphs[:1] for place in fields(content, start, end) if place[0] == 5]
    if not tensors:
        return None
    _, start, length = tensors[-1]
    _, shape, values = _tensor(content, start, start + length, most)
    return None if values is None else values.reshape(shape)


def _texts(content: mmap.mmap, start: int, end: int, wanted: int) -> list[str]:
    return [
        content[value : value + length].decode("utf-8", "replace")
        for number, value, length in fields(content, start, end)
        if number == wanted
    ]


def _add_node(graph: Graph, content: mmap.mmap, start: int, end: int) -> None:
    inputs, outputs, operators = (tuple(_texts(content, start, end, number)) for number in (1, 2, 4))
    numbers: dict[str, float] = {}
    for number, value, length in fields(content, start, end):
        if number != 5:
            continue
        name = "".join(_texts(content, value, value + length, 1))
        for kind, at, size in fields(content, value, value + length):
            if kind == 2:
                numbers[name] = float(np.frombuffer(content[at : at + 4], "<f4")[0])
            if kind == 5:
                _add_tensor(graph, content, at, at + size, outputs[0] if outputs else "")
        if "Constant" in operators and outputs and name in numbers:
            graph.constants[outputs[0]] = np.array(numbers[name])
    graph.nodes.append(Node("".join(operators), inputs, outputs, numbers))


def _add_tensor(graph: Graph, content: mmap.mmap, start: int, end: int, name: str = "") -> None:
    own_name, shape, values = _tensor(content, start, end, _SMALL)
    name = name or own_name
    graph.tensors.add(name)
    graph.largest = max(graph.largest, math.prod(shape))
    if values is not None:
        graph.constants[name] = values


def _tensor(content: mmap.mmap, start: int, end: int, most: int) -> tuple[str, list[int], np.ndarray | None]:
    """Name, shape and numbers (flat) of a tensor; None for the numbers of one that has more than `most`."""
    name, shape, kind, raw, numbers = "", list[int](), 0, b"", list[np.ndarray]()
    for number, value, length in fields(content, start, end):
        if number == 1:
            shape += _whole_numbers(content, value, length)
        elif number == 2:
            kind = value
        elif number == 8:
            name = name or content[value : value + length].decode("utf-8", "replace")
        elif number == 7 and length <= 10 * most:
            numbers.append(np.array(_whole_numbers(content, value, length), np.int64))
        elif number in _NUMBERS and length <= 8 * most:
            numbers.append(np.frombuffer(content[value : value + length], _NUMBERS[number]))
        elif number == 9 and length <= 8 * most:
            raw = content[value : value + length]
    if 0 < math.prod(shape) <= most and kind in _TYPES:
        values = np.frombuffer(raw, _TYPES[kind]) if raw else np.concatenate(numbers) if numbers else np.zeros(0)
        if len(values) == math.prod(shape):
            return name, shape, values
    return name, shape, None


def _whole_numbers(content: mmap.mmap, value: int, length: int) -> list[int]:
    """One number, or several that are packed."""
    if not length:
        return [value]
    found, at = [], value
    while at < value + length:
        number, at = whole_number(content, at)
        found.append(number - (1 << 64) if number >> 63 else number)
    return found
