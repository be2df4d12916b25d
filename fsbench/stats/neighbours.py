"""Balls around points that reach to the k-th neighbour: the manifolds of precision and recall."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1000
"""Rows and columns of a tile of distances: memory does not grow with the square of the number of points."""

ROUNDING = 1e-12
"""Squared distances are good to this share of the squared norms: so much is lost between two near points."""

SURFACE = 1e-5
"""Features come in single precision: the surface of a ball is this share of its squared radius thick."""


def radii(points: np.ndarray, k: int, group: np.ndarray | None = None) -> np.ndarray:
    """Squared distance of each point (N, D) to its k-th nearest, (N,); points of one group (N,) are no neighbours.

    Raises ValueError for what is not finite, and where there are not more than k groups (points, where None is given).
    """
    group = np.arange(len(points)) if group is None else group
    if len(np.unique(group)) <= k:
        raise ValueError(f"{k} neighbours need more than {k} different images, there are {len(np.unique(group))}")
    nearest = np.full((len(points), k), np.inf)
    for rows, columns, squares, _ in _tiles(points, points):
        squares[group[rows][:, None] == group[columns]] = np.inf
        both = np.concatenate([nearest[rows], squares], 1)
        nearest[rows] = np.partition(both, k - 1, 1)[:, :k]
    farthest: np.ndarray = nearest.max(1)
    return farthest


def hits(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many balls hold each point (N,), and how many points each ball (M,) holds; its surface is outside.

    `points` (N, D), `centres` (M, D), `radius` (M,) squared as `radii` gives it. What is on a surface but for rounding
    is taken to be there: in a copy of the centres each ball holds its centre and k - 1 others.
    """
    balls, held = np.zeros(len(points), np.int64), np.zeros(len(centres), np.int64)
    for rows, columns, squares, error in _tiles(points, centres):
        inside = squares < (1 - SURFACE) * radius[columns] - error
        balls[rows] += inside.sum(1)
        held[columns] += inside.sum(0)
    return balls, held


def _tiles(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """Rows and columns of each tile, its squared distances and their error."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features must be finite")
    centre = y.mean(0)
    x, y = x - centre, y - centre
    norms_x, norms_y = (x**2).sum(1), (y**2).sum(1)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
            scale = norms_x[rows][:, None] + norms_y[columns]
            squares = scale - 2 * (x[rows] @ y[columns].T)
            yield rows, columns, squares.clip(0), ROUNDING * scale
