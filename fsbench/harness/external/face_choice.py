"""Which face of a target with several is measured: one for all tools, by a rule that the result states."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from fsbench.datasets._photos import VERSIONS
from fsbench.datasets.people import Album
from fsbench.errors import BadImage, DataError
from fsbench.extraction.blocks import by_item
from fsbench.faces.align import align
from fsbench.faces.region import ovals
from fsbench.files import some
from fsbench.harness.external.asked import AskedPairs
from fsbench.harness.external.files import ABSENT, ToolOutputs, in_frame
from fsbench.harness.failures import UNCHANGED_LEVELS
from fsbench.hashes import hex_digits, stack
from fsbench.images import ImageSet, decoders, read_image
from fsbench.interfaces import Context
from fsbench.store import Arrays, release

FaceRule = Literal["changed", "nearest-to-source", "largest"]

RULES: Mapping[FaceRule, str] = {
    "changed": "the one that most tools changed, of equals the largest and most central",
    "nearest-to-source": "the one at whose place an output is most like the source to the first judge",
    "largest": "the largest and most central",
}

CHANGED_SHARE = 1 / 3
"""Of the difference at the face that a tool changed most; less is what it does to the whole picture."""

_VERSION = "difference inside the oval 1"
"""Changes whenever what a tool changed at a face could; part of the key under which that is kept."""

Likeness = Callable[[ImageSet, Sequence[str]], np.ndarray]
"""Crops, and the source of each -> cosine of each to its source, (N,) float, NaN without a face."""


@dataclass(frozen=True)
class Choice:
    """The face of each pair's target that is measured."""

    face: np.ndarray  # (P,) int64, a row of `Cuts.points`: 0 is the largest and most central
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Views:
    """What the outputs of one pair show at each face of its target."""

    pair: int
    tools: tuple[str, ...]  # that have an output of the target's frame
    change: np.ndarray  # (T, F) mean absolute difference inside the face, in levels of 255

    @property
    def changed(self) -> np.ndarray:
        """Whether a tool changed a face, (T, F) bool."""
        most = self.change.max(1, keepdims=True)
        changed: np.ndarray = (self.change > UNCHANGED_LEVELS) & (self.change >= CHANGED_SHARE * most)
        return changed


def choose(
    pairs: AskedPairs,
    tools: Sequence[ToolOutputs],
    targets: Album,
    rule: FaceRule,
    likeness: Likeness,
    context: Context,
) -> Choice:
    """Choose a face for each pair; where the outputs do not tell, it is the largest and most central."""
    face = np.zeros(len(pairs), np.int64)
    crowded = np.flatnonzero(targets.cuts.n_faces[pairs.target] > 1).tolist()
    if not crowded:
        return Choice(face, ())
    views = _compare(crowded, pairs, tools, targets, context)
    comparable = [view for view in views if view.tools]
    if rule == "changed":
        for view in comparable:
            face[view.pair] = view.changed.sum(0).argmax()
    elif rule == "nearest-to-source" and comparable:
        shown = [
            ImageSet.made(
                (view.change.size, targets.size, targets.size, 3), partial(_crops, view, pairs, tools, targets)
            )
            for view in comparable
        ]
        whose = [pairs.source[view.pair] for view in comparable for _ in range(view.change.size)]
        cosine = np.nan_to_num(likeness(ImageSet.join(shown), whose), nan=-np.inf)
        ends = np.cumsum([view.change.size for view in comparable])[:-1]
        for view, part in zip(comparable, np.split(cosine, ends), strict=True):
            face[view.pair] = part.reshape(view.change.shape).max(0).argmax()
    return Choice(face, tuple(_tell(pairs, views, face, targets, rule)))


def _compare(
    crowded: Sequence[int], pairs: AskedPairs, tools: Sequence[ToolOutputs], targets: Album, context: Context
) -> list[_Views]:
    """What the outputs of some pairs show at each face; what each changed there is kept by target, output and face."""
    items: list[bytes] = []
    groups: list[slice] = []  # items of each pair, by tool and face
    shown: list[list[str]] = []
    for k in crowded:
        target, start = pairs.target[k], len(items)
        points = targets.cuts.points(target)
        there = [tool for tool in tools if pairs.outputs[tool.name][k] != ABSENT]
        shown.append([tool.name for tool in there])
        for tool in there:
            both = map(hex_digits, (targets.hashes[target], tool.hashes[pairs.outputs[tool.name][k]]))
            name = " ".join(both)
            items += [
                hashlib.sha256(f"{name} {face}".encode() + points.tobytes()).digest() for face in range(len(points))
            ]
        groups.append(slice(start, len(items)))
    starts = np.array([group.start for group in groups])

    def compute(index: np.ndarray) -> Arrays:
        if not len(index):
            return {"change": np.empty(0)}
        number = int(np.searchsorted(starts, index[0], side="right")) - 1
        view, _ = _look(crowded[number], pairs, tools, targets)
        change = np.full((len(shown[number]), len(index) // len(shown[number])), np.nan)
        change[[shown[number].index(tool) for tool in view.tools]] = view.change
        return {"change": change.ravel()}

    recipe = {
        "versions": (*VERSIONS, _VERSION),
        "size": targets.size,
        "decoders": decoders(),
        "runtime": release("torch"),
    }
    title = "comparing the faces of targets"
    changes = by_item(title, "changes", recipe, stack(items), compute, context, groups)["change"]
    views = []
    for k, group, names in zip(crowded, groups, shown, strict=True):
        change = changes[group].reshape(len(names), len(targets.cuts.points(pairs.target[k])))
        looked = np.flatnonzero(~np.isnan(change).any(1))
        views.append(_Views(k, tuple(names[tool] for tool in looked), change[looked]))
    return views


def _look(k: int, pairs: AskedPairs, tools: Sequence[ToolOutputs], targets: Album) -> tuple[_Views, np.ndarray]:
    """What tools show at each face of the target of pair `k`, and the crops there, (T * F, S, S, 3) uint8."""
    target, size = pairs.target[k], targets.size
    points = targets.cuts.points(target)
    photo = read_image(targets.photos[target].path)
    before, landmarks = (np.stack(parts) for parts in zip(*(align(photo, own, size) for own in points), strict=True))
    inside = ovals(landmarks, size).levels()[..., 0] > 127
    names, crops, change = [], [], []
    for tool in tools:
        number = pairs.outputs[tool.name][k]
        try:
            image = None if number == ABSENT else read_image(tool.path(number))
        except BadImage:  # counted where it is cut
            continue
        if image is None or (own := in_frame(image, photo, points)) is None:
            continue
        after = np.stack([align(image, place, size)[0] for place in own])
        apart = np.abs(after.astype(np.int16) - before)
        names.append(tool.name)
        crops += list(after)
        change.append([apart[i][inside[i]].mean() for i in range(len(points))])
    view = _Views(k, tuple(names), np.array(change, float).reshape(len(names), len(points)))
    return view, np.array(crops, np.uint8)


def _crops(
    view: _Views, pairs: AskedPairs, tools: Sequence[ToolOutputs], targets: Album, rows: np.ndarray
) -> np.ndarray:
    """Some of the crops of a view, which is looked at again: nobody holds them all."""
    again, crops = _look(view.pair, pairs, tools, targets)
    if again.tools != view.tools:
        file = targets.photos[pairs.target[view.pair]].file
        raise DataError(
            f"outputs for {file} changed while they were compared", "leave the folders alone, and run again"
        )
    chosen: np.ndarray = crops[rows]
    return chosen


def _tell(pairs: AskedPairs, views: Sequence[_Views], face: np.ndarray, targets: Album, rule: FaceRule) -> list[str]:
    """Say how many targets show several faces, which one is measured, and what the choice leaves out."""
    files = [targets.photos[pairs.target[view.pair]].file for view in views]
    n_targets = len(np.unique(pairs.target))
    sentences = [
        f"{len(set(files))} of {n_targets} targets show several faces, {_some(files)}: "
        f"measured is {RULES[rule]} (--face {rule})"
    ]
    other = [file for view, file in zip(views, files, strict=True) if face[view.pair]]
    if other:
        sentences.append(
            f"in {len(other)} pairs the face that is measured is not the largest and most central of its "
            f"target: it counts as a person of its own, of whom there is no other image: {_some(other)}"
        )
    if rule != "largest":
        unclear = [file for view, file in zip(views, files, strict=True) if not view.tools]
        if unclear:
            sentences.append(
                f"in {len(unclear)} pairs no output shows the frame of its target, which has several "
                f"faces: the largest and most central is measured: {_some(unclear)}"
            )
    for tool in dict.fromkeys(tool for view in views for tool in view.tools):
        elsewhere = [
            file
            for view, file in zip(views, files, strict=True)
            if tool in view.tools
            for changed in [view.changed[view.tools.index(tool)]]
            if changed.any() and not changed[face[view.pair]]
        ]
        if elsewhere:
            sentences.append(
                f"{tool} changed another face of its target than the one that is measured in "
                f"{len(elsewhere)} pairs: {_some(elsewhere)}"
            )
    return sentences


def _some(files: Sequence[str]) -> str:
    return some(list(dict.fromkeys(files)))
