"""dlib's alignment: five landmarks by an ensemble of regression trees, then a chip cut where they say.

Kazemi and Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014. In this file a
pixel's centre has whole coordinates, as in dlib.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.embedders._dlib_format import read_integers
from fsbench.errors import WeightsError
from fsbench.faces.align import similarity

_STAGES, _TREES, _DEPTH, _PIXELS, _POINTS = 15, 500, 4, 800, 5
_LEAVES = 2**_DEPTH

_CHIP_POINTS = np.array([(0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677),
                         (0.1205750620789, 0.2137274526848), (0.3340850613712, 0.2290642403242),
                         (0.4901123135679, 0.6277975316475)])
"""Where the landmarks (eye corners, image-right eye first, and the base of the nose) lie on a chip without padding."""
_PADDING = 0.25
_SHIFT = (1.25, 0.75)                                   # where dlib says that its pyramid puts a pixel: p / 2 - this


class ShapePredictor(NamedTuple):
    """Regression trees that move a mean shape to where the face is, stage by stage; boxes have unit size here."""

    mean: np.ndarray                                    # (5, 2)
    first: np.ndarray                                   # (stages, trees, splits) pixels that a split compares
    second: np.ndarray
    threshold: np.ndarray                               # (stages, trees, splits)
    leaves: np.ndarray                                  # (stages, trees, leaves, 5, 2) steps
    anchor: np.ndarray                                  # (stages, pixels) the landmark that a pixel moves with
    offset: np.ndarray                                  # (stages, pixels, 2) and its place relative to it

    def __call__(self, grey: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """(N, H, W) uint8 and (N, 4) left, top, right, bottom -> (N, 5, 2) landmarks, not rounded."""
        n, height, width = grey.shape
        corner, size = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
        shape = np.repeat(self.mean[None], n, 0)        # (N, 5, 2)
        image, tree = np.arange(n)[:, None], np.arange(_TREES)
        for stage in range(_STAGES):
            turn = similarity(np.broadcast_to(self.mean, shape.shape), shape)[:, :, :2]
            place = self.offset[stage] @ turn.swapaxes(1, 2) + shape[:, self.anchor[stage]]
            x, y = np.moveaxis(np.floor(corner + place * size + 0.5).astype(int), -1, 0)  # (N, pixels)
            inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
            pixels = np.where(inside, grey[image, y.clip(0, height - 1), x.clip(0, width - 1)], 0).astype(np.int16)
            # `take` on flat arrays: indexing by two arrays is three times as slow.
            node = np.zeros((n, _TREES), int)
            for _ in range(_DEPTH):
                split = node + tree * (_LEAVES - 1)
                difference = (pixels.take(self.first[stage].take(split) + image * _PIXELS)
                              - pixels.take(self.second[stage].take(split) + image * _PIXELS))
                node = 2 * node + 2 - (difference > self.threshold[stage].take(split))
            leaf = node - (_LEAVES - 1) + tree * _LEAVES
            shape = shape + self.leaves[stage].reshape(-1, 2 * _POINTS).take(leaf, 0).sum(1).reshape(shape.shape)
        landmarks: np.ndarray = corner + shape * size
        return landmarks


def read_shape_predictor(path: Path) -> ShapePredictor:
    """Read the 5-landmark predictor; raises WeightsError for a file that is shorter, longer or of another model."""
    stream = _Stream(path)
    stream.expect(1)
    stream.expect(-2 * _POINTS, -1)
    mean = stream.reals(2 * _POINTS)
    stream.expect(_STAGES)
    splits, leaves = [], []
    for _ in range(_STAGES):
        stream.expect(_TREES)
        trees = stream.table(_TREES, 1 + 4 * (_LEAVES - 1) + 1 + _LEAVES * (2 + 4 * _POINTS))
        head, tail = np.split(trees, [4 * _LEAVES - 3], axis=1)
        steps = tail[:, 1:].reshape(_TREES, _LEAVES, 2 + 4 * _POINTS)
        stream.check(head[:, 0] == _LEAVES - 1, tail[:, 0] == _LEAVES)
        stream.check(steps[..., 0] == -2 * _POINTS, steps[..., 1] == -1)
        splits.append(head[:, 1:].reshape(_TREES, _LEAVES - 1, 4))
        leaves.append(_real(steps[..., 2:].reshape(_TREES, _LEAVES, _POINTS, 2, 2)))
    stream.expect(_STAGES)
    anchors = [stream.counted(_PIXELS, 1)[:, 0] for _ in range(_STAGES)]
    stream.expect(_STAGES)
    offsets = [_real(stream.counted(_PIXELS, 4).reshape(_PIXELS, 2, 2)) for _ in range(_STAGES)]
    stream.expect_end()
    split, anchor = np.stack(splits), np.stack(anchors)
    stream.check(split[..., :2] >= 0, split[..., :2] < _PIXELS, anchor >= 0, anchor < _POINTS)
    first, second = split[..., 0].copy(), split[..., 1].copy()
    return ShapePredictor(mean.reshape(_POINTS, 2), first, second, _real(split[..., 2:]), np.stack(leaves), anchor,
                          np.stack(offsets))


def _real(pairs: np.ndarray) -> np.ndarray:
    """(..., 2) mantissa and binary exponent -> (...)."""
    return np.ldexp(pairs[..., 0].astype(np.float64), pairs[..., 1].astype(np.int32))


class _Stream:
    """The integers of a file, taken one run after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = read_integers(path)

    def check(self, *conditions: np.ndarray | bool) -> None:
        if not all(np.all(condition) for condition in conditions):
            raise WeightsError(f"{self.path} is damaged, or not dlib's predictor of five landmarks",
                               "see `fsbench list weights` for the file that is meant")

    def table(self, n_rows: int, n_columns: int) -> np.ndarray:
        self.check(len(self._left) >= n_rows * n_columns)
        taken, self._left = np.split(self._left, [n_rows * n_columns])
        return taken.reshape(n_rows, n_columns)

    def expect(self, *values: int) -> None:
        self.check(self.table(1, len(values))[0] == np.array(values))

    def counted(self, n_rows: int, n_columns: int) -> np.ndarray:
        self.expect(n_rows)
        return self.table(n_rows, n_columns)

    def reals(self, count: int) -> np.ndarray:
        return _real(self.table(count, 2))

    def expect_end(self) -> None:
        self.check(len(self._left) == 0)


def cut_chips(images: Tensor, points: np.ndarray, size: int) -> Tensor:
    """(N, 3, H, W) images and (N, 5, 2) of dlib's landmarks -> (N, 3, size, size) chips, black beyond the image.

    dlib's get_face_chip, bilinear; where the chip would skip pixels, the image is halved first, until it does not.
    """
    goal = (_CHIP_POINTS + _PADDING) / (1 + 2 * _PADDING) * size
    matrix = similarity(np.broadcast_to(goal, points.shape), points)  # (N, 2, 3) chip -> image
    centre = matrix @ (size / 2, size / 2, 1)
    turn = matrix[:, :, :2] / np.hypot(*matrix[:, :, 0].T)[:, None, None]
    side = np.hypot(*matrix[:, :, 0].T) * size          # of the chip, in pixels of the image
    chips = images.new_empty(len(images), 3, size, size)
    left = np.arange(len(images))
    while len(left):
        fits = side[left] < 2 * size
        now = left[fits]
        if len(now):
            chips[now] = _sample(images[fits], centre[now], turn[now], side[now], size)
        left, images = left[~fits], _halve(images[~fits])
        centre[left] = centre[left] / 2 - _SHIFT
        side[left] = (side[left] - 1) / 2 + 1
    return chips


def _sample(images: Tensor, centre: np.ndarray, turn: np.ndarray, side: np.ndarray, size: int) -> Tensor:
    """Cut squares of `side` pixels about `centre`, turned."""
    last = np.array(images.shape[:1:-1]) - 1            # coordinates of the bottom right pixel; torch calls it (1, 1)
    to_image = np.concatenate([turn * (side - 1)[:, None, None], 2 * centre[..., None]], 2) / last[:, None]
    to_image[:, :, 2] -= 1
    grid = F.affine_grid(torch.from_numpy(to_image), [len(images), 3, size, size], align_corners=True)
    return _truncate(F.grid_sample(images, grid.to(images), mode="bilinear", align_corners=True))


def _halve(images: Tensor) -> Tensor:
    """Half the size by the binomial filter of five taps; pixel i of the answer lies at 2 i + 2."""
    taps = images.new_tensor((1, 4, 6, 4, 1)) / 16
    filters = torch.outer(taps, taps).expand(3, 1, 5, 5)
    return _truncate(F.conv2d(images, filters, stride=2, groups=3))


def _truncate(images: Tensor) -> Tensor:
    """Cut to whole 8-bit levels, as dlib does; a level that float32 misses by a hair stays what it is."""
    return (images * 255 + 1e-3).floor() / 255
