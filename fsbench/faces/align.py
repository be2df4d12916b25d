"""Alignment: a similarity transform takes five landmarks to a fixed template, and the crop is cut there.

The template is the five points that ArcFace crops use, drawn at 72 % about the centre of the crop: hair, ears and
chin stay visible, and every recogniser can cut its own, tighter chip out of the crop.
"""

from __future__ import annotations

import numpy as np

_ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]) / 112
TEMPLATE = (0.5 + 0.72 * (_ARCFACE - 0.5)).astype(np.float32)
"""(5, 2) eyes, nose tip, mouth corners, image-left first, as fractions of the crop's side."""


def similarity(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Least-squares rotation, scale and shift that take `points` (K, 2) to `goal` (K, 2), as a (2, 3) float64 matrix.

    Umeyama, PAMI 13(4), 1991, without reflection.
    """
    points, goal = np.asarray(points, np.float64), np.asarray(goal, np.float64)
    p, g = points - points.mean(0), goal - goal.mean(0)
    u, s, vt = np.linalg.svd(g.T @ p)
    flip = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(flip) @ vt
    scale = (s * flip).sum() / (p**2).sum()
    return np.hstack([scale * rotation, (goal.mean(0) - scale * rotation @ points.mean(0))[:, None]])
