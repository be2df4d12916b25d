"""The levels that an ONNX network expects, where they are not given: by its first operators, else by its features.

Some files subtract and divide for themselves. With levels that are normalised already, such a network gives nearly the
same features for every face: on LFW, ArcFace's d' falls from 5.9 to 0.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fsbench.onnx.graph import read_graph


@dataclass(frozen=True)
class Preprocessing:
    """The levels that a network expects: (level - mean) / std of each channel, levels from 0 to 255, red first."""

    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)
    order: Literal["rgb", "bgr"] = "rgb"


ARCFACES = Preprocessing()
_LEVELS, _UNIT = Preprocessing((0.0,), (1.0,)), Preprocessing((0.0,), (255.0,))

_TYPICAL, _SPREAD = 110.0, 60.0  # mean and standard deviation of the levels of photographs
_CENTRED, _SPREADS = 1.2, (0.2, 2.5)
"""Where levels lie when they were normalised: mean at most, and standard deviation."""

ALIKE = 0.85
"""Mean cosine of different drawn faces from which on a network does not see them: measured are 0.50 to 0.56 where the
levels are those of its training, and 0.88 to 1.00 where they are 127 times larger or smaller."""

_FACES = 6


def probe(path: Path, size: int, features: Callable[[np.ndarray], np.ndarray]) -> tuple[Preprocessing, str, bool]:
    """Find out which levels a network expects, by which evidence, and whether that is a guess.

    `features` is the network, (N, 3, size, size) -> (N, D).
    """
    graph = read_graph(path)
    affine = None if graph is None else graph.affine()
    if affine is not None and (wanted := _wanted(*affine)) is not None:
        return wanted, "the file normalises them itself", False
    cosine = {choice: _likeness(features, choice, size) for choice in (ARCFACES, _LEVELS)}
    if cosine[ARCFACES] > ALIKE > cosine[_LEVELS]:
        return _LEVELS, "its answers to drawn faces are alike at any other scale", False
    if affine is not None:
        return ARCFACES, "assumed: the file computes with them first, to what end is not plain", True
    if cosine[ARCFACES] > ALIKE:
        return ARCFACES, "assumed, and doubtful: its answers to different drawn faces are alike at every scale", True
    return ARCFACES, "assumed, as ArcFace's: no normalisation is found in the file", True


def _wanted(scale: np.ndarray, shift: np.ndarray) -> Preprocessing | None:
    """The range of levels for which (1 or 3,) scale and shift give normalised levels; None for none."""
    costs = {}
    for choice in (_LEVELS, _UNIT, ARCFACES):
        mean = scale * (_TYPICAL - choice.mean[0]) / choice.std[0] + shift
        spread = np.abs(scale) * _SPREAD / choice.std[0]
        if (np.abs(mean) <= _CENTRED).all() and (_SPREADS[0] <= spread).all() and (spread <= _SPREADS[1]).all():
            costs[choice] = float((np.abs(mean) + np.abs(np.log(spread))).mean())
    if costs:
        return min(costs, key=lambda choice: costs[choice])
    zero = -shift / scale  # centred and not scaled, as Caffe's networks have it
    if ((zero > 40) & (zero < 215)).all():
        return _LEVELS
    return _UNIT if ((zero > 0.15) & (zero < 0.85)).all() else None


def _likeness(features: Callable[[np.ndarray], np.ndarray], choice: Preprocessing, size: int) -> float:
    """Mean cosine between a network's features of different faces; 1 where the features cannot be used."""
    found = features((draw_faces(_FACES, size) - choice.mean[0]) / np.float32(choice.std[0])).astype(np.float64)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(length).all() or not length.all():
        return 1.0
    found /= length
    return float((found @ found.T)[np.triu_indices(len(found), 1)].mean())


def draw_faces(n: int, size: int) -> np.ndarray:
    """(n, 3, size, size) float32 levels from 0 to 255: discs of several colours, aligned as ArcFace's chips are."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    faces = np.empty((n, 3, size, size), np.float32)
    for face in faces:
        face[:] = random.uniform(20, 235, (3, 1, 1))
        skin = random.uniform(60, 230) * np.array([1, 0.8, 0.7])
        parts = [(0.5, 0.5, random.uniform(0.38, 0.5), random.uniform(0.5, 0.65), skin)]
        for side in (0.345, 0.655):  # eye and brow
            eye = random.uniform(10, 250, 3)
            parts.append((side, 0.46, random.uniform(0.05, 0.08), random.uniform(0.02, 0.045), eye))
            parts.append((side, random.uniform(0.34, 0.39), 0.09, 0.02, random.uniform(0, 120, 3)))
        parts.append((0.5, 0.64, random.uniform(0.04, 0.09), 0.05, skin * random.uniform(0.7, 1.2)))
        parts.append((0.5, 0.82, random.uniform(0.1, 0.2), random.uniform(0.02, 0.06), skin * (1, 0.5, 0.5)))
        for centre, middle, width, height, colour in parts:
            outside = ((x - centre) / width) ** 2 + ((y - middle) / height) ** 2 - 1
            cover = 1 / (1 + np.exp(np.clip(8 * outside, -30, 30)))
            face[:] = face * (1 - cover) + cover * colour[:, None, None]
        face *= 1 + 0.3 * random.uniform(-1, 1) * (x - 0.5)
    return faces.clip(0, 255)
