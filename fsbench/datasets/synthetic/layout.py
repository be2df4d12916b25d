"""The layout of position maps: a square in which every texel stands for a point of the face (Feng et al., ECCV 2018).

The layout is the asset's own texture layout, cut out around the face, in which the slits between lips and between lids
are opened into ellipses. Flat membranes fill them, so that what is seen in mouth and eyes has texels of its own.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from torch import Tensor

from fsbench.datasets.synthetic.asset import Asset, load_asset
from fsbench.datasets.synthetic.geometry import LANDMARKS_68
from fsbench.datasets.synthetic.texture import face_weight
from fsbench.faces.raster import gather, pick, rasterise, weights_at

VERSION = 1
"""Raised whenever a texel would stand for another point of the face."""

_MIDDLE, _HALF = np.array((0.49877, 0.655)), np.array((0.195, 0.295))  # of the square in the asset's chart
_MAGNIFICATION = np.array((1.25, 1.0))  # of the middle, at the cost of the border
_OPENINGS = (  # eyes and mouth, as they stand in the image: centre and half axes in the square, which spans [-1, 1]
    ((-0.34, -0.33), (0.14, 0.05)),
    ((0.34, -0.33), (0.14, 0.05)),
    ((0.0, 0.33), (0.25, 0.06)),
)
_MOUTH = 2  # of the openings


class FaceLayout:
    """Which points of the head the texels of a map stand for.

    The points of a layout are vertices of the head, and after them the middles of the membranes, which are the means of
    their borders.
    """

    def __init__(self, asset: Asset, side: int) -> None:
        """`side` texels a side."""
        self.side = side
        numbers = asset.in_chart.nonzero()[:, 0]
        corners, heads = (table[numbers].cpu().numpy() for table in (asset.chart_faces, asset.faces))
        square, borders = _unfold(asset.mask_chart.double().cpu().numpy(), corners)
        n, middles = len(square), [square[border].mean(0) for border in borders]
        square = np.concatenate([square, middles])
        owner = np.zeros(len(square), np.int64)  # the vertex at each place of the chart
        owner[corners] = heads
        owner[n:] = len(asset.vertices) + np.arange(len(borders))
        fans = [
            np.stack([border, np.roll(border, -1), np.full(len(border), n + k)], 1) for k, border in enumerate(borders)
        ]
        shown = np.abs(square[corners]).max(1).min(1) < 1
        triangles = np.concatenate([corners[shown], *fans])

        used, points = np.unique(owner[triangles], return_inverse=True)
        self.vertices = torch.from_numpy(used[: -len(borders)]).to(asset.device)  # (P - 3,) of the head
        self._borders = [torch.from_numpy(np.searchsorted(used, owner[border])).to(asset.device) for border in borders]
        flat = np.concatenate([(square + 1) / 2 * side, np.zeros((len(square), 1))], 1).astype(np.float32)
        screen, faces = (torch.from_numpy(array).to(asset.device) for array in (flat, triangles))
        nearest = rasterise(screen, faces, side, cull=False)
        self._texels = (nearest >= 0).nonzero()[:, 0]
        found = pick(nearest, self._texels)
        self._weights = weights_at(screen, pick(faces, found), self._texels, side, perspective=False)
        self._corners = pick(torch.from_numpy(points.reshape(-1, 3)).to(asset.device), found)
        self.valid = (nearest >= 0).view(side, side)
        """(U, U) bool: where a texel stands for a point at all."""
        membrane = torch.where(
            nearest >= int(shown.sum()), 1 + (nearest >= int(shown.sum()) + sum(map(len, borders[:2]))).long(), 0
        )
        self.membrane = membrane.view(side, side)
        """(U, U): 1 between the lids, 2 between the lips, else 0."""
        self.face = self.map(self.points(face_weight(asset.canonical)[:, None]))[..., 0].clamp(0, 1)
        """(U, U): how much of a texel is face, 0 to 1, as an exact swap has it."""
        place = {int(vertex): k for k, vertex in zip(corners.ravel(), heads.ravel(), strict=True)}
        number = {int(base): k for k, base in enumerate(asset.base_ids)}
        at = np.array([square[place[number[vertex]]] for vertex in LANDMARKS_68], np.float32)
        self.landmarks = torch.from_numpy(at).to(asset.device)
        """(68, 2): x, y of the landmarks in the square, which spans [-1, 1]."""

    def points(self, values: Tensor) -> Tensor:
        """(V, C) values at the head's vertices -> (P, C) at the points of the layout."""
        own = pick(values, self.vertices)
        return torch.cat([own, torch.stack([own[border].mean(0) for border in self._borders])])

    def map(self, points: Tensor) -> Tensor:
        """(P, C) values at points -> (U, U, C), zero where the layout is empty."""
        texels = points.new_zeros(self.side * self.side, points.shape[1])
        texels[self._texels] = gather(points, self._corners, self._weights)
        return texels.view(self.side, self.side, -1)


def _unfold(chart: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the places (C, 2) of a chart (C, 2) in the square, and the borders of its three openings.

    The displacement that opens the slits minimises the square of its graph Laplacian. Triangles at the corners of eyes
    and mouth, a ten-thousandth of the square, fold over one another: their texels belong to one of them.
    """
    square = (chart - _MIDDLE) / _HALF
    inside = np.abs(square) <= 1
    square = np.where(inside, square * (_MAGNIFICATION - (_MAGNIFICATION - 1) * square**2), square)
    borders, moved = _borders(corners, square), np.zeros_like(square)
    fixed = ~inside.all(1)
    for border, (centre, axes) in zip(borders, _OPENINGS, strict=True):
        moved[border] = _ellipse(square[border], centre, axes) - square[border]
        fixed[border] = True
    n, ends = len(square), np.concatenate([corners, corners[:, [1, 2, 0]], corners[:, [2, 0, 1]]])
    joined = coo_matrix(
        (np.ones(2 * len(ends)), (np.r_[ends[:, 0], ends[:, 1]], np.r_[ends[:, 1], ends[:, 0]])), (n, n)
    )
    joined = joined.tocsr()
    joined.data[:] = 1
    laplacian = (diags(np.ones(n)) - diags(1 / np.maximum(np.asarray(joined.sum(1)).ravel(), 1)) @ joined).tocsr()
    stiffness = (laplacian.T @ laplacian).tocsr()
    free, held = np.setdiff1d(corners, np.flatnonzero(fixed)), np.flatnonzero(fixed)
    moved[free] = splu(stiffness[free][:, free].tocsc()).solve(-(stiffness[free][:, held] @ moved[held]))
    return square + moved, borders


def _borders(corners: np.ndarray, square: np.ndarray) -> list[np.ndarray]:
    """Return the borders of right eye, left eye and mouth, each from its leftmost place over the upper edge."""
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), 1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    beside: dict[int, list[int]] = defaultdict(list)
    for a, b in edges[count == 1].tolist():
        beside[a].append(b)
        beside[b].append(a)
    borders = []
    while beside:
        border = [min(beside)]
        while border[-1] in beside:
            border += [k for k in beside.pop(border[-1]) if k in beside][:1]
        borders.append(np.array(list(dict.fromkeys(border))))
    holes = sorted(borders, key=len)[:-1]  # the longest is the border of the chart itself
    holes.sort(key=lambda border: (square[border, 1].mean() > 0, square[border, 0].mean()))
    return [_from_the_left(border, square[border]) for border in holes]


def _from_the_left(border: np.ndarray, places: np.ndarray) -> np.ndarray:
    following = np.roll(places, -1, 0)
    if (places[:, 0] * following[:, 1] - places[:, 1] * following[:, 0]).sum() < 0:  # anticlockwise, y being down
        border, places = border[::-1], places[::-1]
    return np.roll(border, -int(places[:, 0].argmin()))


def _ellipse(places: np.ndarray, centre: tuple[float, float], axes: tuple[float, float]) -> np.ndarray:
    """Places on an ellipse for those of a border, from its leftmost over the upper edge; their order in x is kept."""
    right = int(places[:, 0].argmax())
    x = np.clip(np.interp(places[:, 0], (places[0, 0], places[right, 0]), (-1, 1)), -1, 1)
    upper = np.where(np.arange(len(places)) <= right, -1, 1)
    return np.stack([centre[0] + axes[0] * x, centre[1] + axes[1] * upper * np.sqrt(1 - x**2)], 1)


@lru_cache(maxsize=4)
def load_layout(device: torch.device, side: int) -> FaceLayout:
    """Return the layout on a device."""
    return FaceLayout(load_asset(device), side)
