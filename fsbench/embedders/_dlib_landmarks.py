"""dlib's alignment: five landmarks by an ensemble of regression trees, then a chip that is cut by them.

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

_CHIP_POINTS = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
"""Where the landmarks (eye corners, image-right eye first, and the base of the nose) lie on a chip without padding."""
_PADDING = 0.25
_SHIFT = (1.25, 0.75)  # where dlib says that its pyramid puts a pixel: p / 2 - this


class ShapePredictor(NamedTuple):
    """Regression trees that move a mean shape to the face, stage by stage; boxes have unit size here.

    All splits of all trees are evaluated, rather than the four on each path from root to leaf. With the batch as the
    last axis this is four times as fast.
    """

    mean: np.ndarray  # (10) x, y of the five landmarks
    places: Tensor  # (stages, 2, pixels, 10) times a shape: x and y of the pixels
    first: np.ndarray  # (stages, splits, trees) pixels that a split compares
    second: np.ndarray
    threshold: np.ndarray  # (stages, splits, trees) int16
    leaves: Tensor  # (stages, trees * leaves, 10) steps, float32 as in the file

    def __call__(self, grey: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """(N, H, W) uint8 and (N, 4) left, top, right, bottom -> (N, 5, 2) landmarks, not rounded."""
        corner, size = (torch.from_numpy(part.T[:, None]) for part in (boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
        framed = np.pad(grey.astype(np.int16), ((0, 0), (1, 1), (1, 1)))  # what lies beyond the image is black
        shape = torch.from_numpy(np.tile(self.mean, (len(grey), 1)))  # (N, 10); corner and size are (2, 1, N)
        for stage in range(_STAGES):
            place = self.places[stage] @ (shape.T * size + corner)  # (2, pixels, N)
            leaf = self._leaf(stage, _look_up(framed, place.numpy())).T + np.arange(_TREES) * _LEAVES  # (N, trees)
            shape += F.embedding_bag(torch.from_numpy(leaf), self.leaves[stage], mode="sum")
        landmarks: np.ndarray = (shape.view(-1, _POINTS, 2) * size.permute(2, 1, 0) + corner.permute(2, 1, 0)).numpy()
        return landmarks

    def _leaf(self, stage: int, pixels: np.ndarray) -> np.ndarray:
        """(pixels, N) int16 -> (trees, N) uint8, the leaf of each tree; a split goes left above its threshold."""
        difference = pixels.take(self.first[stage], 0) - pixels.take(self.second[stage], 0)
        right = (difference <= self.threshold[stage][..., None]).view(np.uint8)  # (splits, trees, N); level by level
        leaf = right[_LEAVES // 2 - 1 :]  # below each split of the lowest level
        for level in reversed(range(_DEPTH - 1)):
            n_left = np.uint8(_LEAVES >> level + 1)
            mask = -right[2**level - 1 : 2 ** (level + 1) - 1]
            leaf = leaf[::2] ^ (leaf[::2] ^ (leaf[1::2] + n_left)) & mask  # five times as fast as np.where
        chosen: np.ndarray = leaf[0]
        return chosen


def _look_up(framed: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(N, H + 2, W + 2) and (2, K, N) x, y, which is overwritten -> (K, N), the pixels that are nearest."""
    n, height, width = framed.shape
    place += 1.5
    np.clip(place, 0, np.array((width - 1, height - 1)).reshape(2, 1, 1), out=place)
    index, y = place.astype(np.int32)
    y *= np.int32(width)
    index += y
    index += np.arange(n, dtype=np.int32) * np.int32(height * width)
    pixels: np.ndarray = framed.take(index)
    return pixels


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
    split = np.ascontiguousarray(np.moveaxis(split, 2, 1))  # (stages, splits, trees, 4)
    threshold = np.floor(_real(split[..., 2:])).clip(-256, 255).astype(np.int16)  # what is compared is whole
    leaf_steps = torch.tensor(np.stack(leaves), dtype=torch.float32).view(_STAGES, _TREES * _LEAVES, 2 * _POINTS)
    places = torch.from_numpy(_places(mean, anchor, np.stack(offsets)))
    return ShapePredictor(mean, places, split[..., 0].copy(), split[..., 1].copy(), threshold, leaf_steps)


def _places(mean: np.ndarray, anchor: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Write as matrices where pixels are, given a shape: each is offset from a landmark, and turns with the face.

    (10) mean shape, (stages, pixels) landmarks and (stages, pixels, 2) offsets from them -> (stages, 2, pixels, 10).
    A similarity is linear in its goal: those of the ten unit shapes say everything.
    """
    units = np.eye(2 * _POINTS).reshape(-1, _POINTS, 2)
    turn = similarity(np.broadcast_to(mean.reshape(_POINTS, 2), units.shape), units)[:, :, :2]  # (10, 2, 2)
    return np.ascontiguousarray(np.einsum("uij,spj->sipu", turn, offset) + units[:, anchor].transpose(1, 3, 2, 0))


def _real(pairs: np.ndarray) -> np.ndarray:
    """(..., 2) mantissa and binary exponent -> (...); infinite for an exponent as no trained model has."""
    with np.errstate(over="ignore"):
        return np.ldexp(pairs[..., 0].astype(np.float64), pairs[..., 1].clip(-2000, 2000).astype(np.int32))


class _Stream:
    """The integers of a file, taken one run after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = read_integers(path)

    def check(self, *conditions: np.ndarray | bool) -> None:
        if not all(np.all(condition) for condition in conditions):
            raise WeightsError(
                f"{self.path} is damaged, or not dlib's predictor of five landmarks",
                "see `fsbench list weights` for the file that is meant",
            )

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
    scale = np.hypot(*matrix[:, :, 0].T)
    return _cut(images, matrix @ (size / 2, size / 2, 1), matrix[:, :, :2] / scale[:, None, None], scale * size, size)


def _cut(images: Tensor, centre: np.ndarray, turn: np.ndarray, side: np.ndarray, size: int) -> Tensor:
    """Cut squares of `side` pixels about `centre`, turned; an image with too many of them is halved first."""
    large = side >= 2 * size
    if not large.any():
        return _sample(images, centre, turn, side, size)
    chips = images.new_empty(len(images), 3, size, size)
    chips[~large] = _sample(images[~large], centre[~large], turn[~large], side[~large], size)
    chips[large] = _cut(_halve(images[large]), centre[large] / 2 - _SHIFT, turn[large], (side[large] - 1) / 2 + 1, size)
    return chips


def _sample(images: Tensor, centre: np.ndarray, turn: np.ndarray, side: np.ndarray, size: int) -> Tensor:
    last = np.array(images.shape[:1:-1]) - 1  # coordinates of the bottom right pixel; torch calls it (1, 1)
    step = turn.swapaxes(1, 2) * (side - 1)[:, None, None] / last  # (N, 2, 2) along the chip's width, and its height
    along = np.linspace(-1, 1, size)[:, None]
    across, down = along * step[:, None, 0], along * step[:, None, 1] + 2 * centre[:, None] / last - 1
    # Points as complex numbers: several times as fast as a last axis of two.
    across, down = (torch.from_numpy(part.view(complex)).to(images.device) for part in (across, down))  # (N, size, 1)
    grid = torch.view_as_real((across.mT + down).to(torch.complex64))  # (N, size, size, 2)
    return _truncate(F.grid_sample(images, grid, mode="bilinear", align_corners=True))


def _halve(images: Tensor) -> Tensor:
    """Half the size by the binomial filter of five taps; pixel i of the answer lies at 2 i + 2."""
    taps = images.new_tensor((1, 4, 6, 4, 1)) / 16
    filters = torch.outer(taps, taps).expand(3, 1, 5, 5)
    return _truncate(F.conv2d(images, filters, stride=2, groups=3))


def _truncate(images: Tensor) -> Tensor:
    """Cut to whole 8-bit levels, in place, as dlib does; a level that float32 misses by a hair stays what it is."""
    return images.mul_(255).add_(1e-3).floor_().div_(255)
