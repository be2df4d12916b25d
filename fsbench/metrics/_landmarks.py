"""Landmarks over the frames of a clip: how they move, in the unit of the face, and what of it a paste can do."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from torch import Tensor

from fsbench.interfaces import Context
from fsbench.weights import locate

Landmarks = Literal["best", "face_mesh", "five_points"]
"""Whose landmarks a metric looks at; best is the face mesh where its file is on this machine, else the five points."""

_FIVE = [468, 473, 4, 61, 291]
"""Irises, tip of the nose and corners of the mouth among the 478 landmarks of the face mesh."""


def observer_of(landmarks: Landmarks, context: Context) -> str:
    """The observer whose landmarks are asked for."""
    if landmarks != "best":
        return landmarks
    return "face_mesh" if locate("face_landmarker", context.store.root / "weights") else "five_points"


def in_plane(landmarks: Tensor) -> np.ndarray:
    """(N, P, 2 or 3) landmarks -> (N, P, 2) float64, NaN where no face was found."""
    points: np.ndarray = landmarks[..., :2].cpu().double().numpy()
    return points


def five(points: np.ndarray) -> np.ndarray:
    """Eyes, tip of the nose and corners of the mouth of (N, P, 2) landmarks, (N, 5, 2), image-left first."""
    return points if points.shape[1] == 5 else points[:, _FIVE]


def eye_distance(points: np.ndarray) -> float:
    """Median distance of the eyes over the frames of a clip, of landmarks (N, P, 2); NaN where there is none."""
    eyes = np.linalg.norm(np.diff(five(points)[:, :2], axis=1), axis=2)
    eyes = eyes[eyes > 0]  # nor is NaN
    return float(np.median(eyes)) if len(eyes) else math.nan


def split_power(vectors: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean squared length of (N, P, 2) vectors at landmarks (N, P, 2) -> (N, 2) common mode, and the rest.

    The common mode is the part that a shift, a turn and a scaling of all landmarks together explain, by least squares.
    The two parts add up to the whole.
    """
    about = points - points.mean(1, keepdims=True)
    across = np.stack([-about[..., 1], about[..., 0]], -1)  # what a turn does
    shift = (vectors.mean(1) ** 2).sum(1)
    spread = (about**2).sum((1, 2))
    spread = np.where(spread > 0, spread, math.nan)
    scaling, turn = ((vectors * field).sum((1, 2)) ** 2 / spread for field in (about, across))
    common = shift + (scaling + turn) / points.shape[1]
    whole = (vectors**2).sum(2).mean(1)
    return np.stack([common, np.maximum(whole - common, 0)], 1)
