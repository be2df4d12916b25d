"""Alignment: a similarity transform takes five landmarks to a fixed template, and the crop is cut there.

The template is the five points that ArcFace crops use, drawn at 72 % about the centre of the crop: hair, ears and
chin stay visible, and every recogniser can cut its own, tighter chip out of the crop.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fsbench.images import to_bytes, to_float

VERSION = "similarity 2"
"""Changes whenever a crop could change; part of the key of whatever is cached."""

_ARCFACE = (
    np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]) / 112
)
TEMPLATE = (0.5 + 0.72 * (_ARCFACE - 0.5)).astype(np.float32)
"""(5, 2) eyes, nose tip, mouth corners, image-left first, as fractions of the crop's side."""

_TAPS = 2  # that the bicubic filter reads on each side of a point


def similarity(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Least-squares rotation, scale and shift that take `points` (..., K, 2) to `goal`, as (..., 2, 3) float64.

    Umeyama, PAMI 13(4), 1991, without reflection; in the plane, with points as complex numbers, it is one division.
    """
    points, goal = np.asarray(points, np.float64), np.asarray(goal, np.float64)
    p, g = points - points.mean(-2, keepdims=True), goal - goal.mean(-2, keepdims=True)
    spread = (p**2).sum((-2, -1))
    cosine = (p * g).sum((-2, -1)) / spread
    sine = (p[..., 0] * g[..., 1] - p[..., 1] * g[..., 0]).sum(-1) / spread
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    shift = goal.mean(-2) - (turn @ points.mean(-2)[..., None])[..., 0]
    return np.concatenate([turn, shift[..., None]], -1)


def align(
    image: np.ndarray, landmarks: np.ndarray, size: int, template: np.ndarray = TEMPLATE
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the crop: (H, W, 3) uint8 and (5, 2) landmarks -> (size, size, 3) uint8 and the landmarks in its pixels.

    `template` (5, 2) is where the landmarks go, as fractions of the crop's side. Bicubic, over whole-number block
    averages where the image has more pixels than the crop, so that nothing aliases.
    Beyond the image its border pixels are repeated.
    """
    to_crop = similarity(landmarks, template * size)
    scale = float(np.hypot(*to_crop[:, 0]))  # pixels of the crop in one of the image
    block = max(1, math.floor(1 / scale))
    finer = 1 if scale * block >= 1 else 2  # blocks may still be finer than the crop
    place = (np.arange(size * finer) + 0.5) / finer
    points = np.stack(np.meshgrid(place, place), -1) - to_crop[:, 2]
    points = points @ np.linalg.inv(to_crop[:, :2]).T / block  # (size, size, 2) x, y in blocks of the image

    blocks, first = _blocks_around(image, points, block)
    points = 2 * (points - first) / (blocks.shape[3], blocks.shape[2]) - 1
    grid = torch.from_numpy(points)[None].to(blocks)
    crop = F.grid_sample(blocks, grid, mode="bicubic", padding_mode="border", align_corners=False)
    crop = F.avg_pool2d(crop, finer)
    return to_bytes(crop)[0], (landmarks @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)


def _blocks_around(image: np.ndarray, points: np.ndarray, block: int) -> tuple[Tensor, np.ndarray]:
    """Average the blocks that bicubic sampling at `points` reads: (1, 3, h, w) in [0, 1], and x, y of the first.

    Cut out before anything becomes float: a photograph of 100 megapixels would take 1.2 GB. Never empty: where all
    points are beyond the image, the border that is repeated there is kept.
    """
    count = -(-np.array(image.shape[1::-1]) // block)
    first = np.clip(np.floor(points.min((0, 1))).astype(int) - _TAPS, 0, count - 1)
    end = np.clip(np.ceil(points.max((0, 1))).astype(int) + _TAPS, first + 1, count)
    (left, top), (right, bottom) = first * block, end * block
    return to_float(np.array(Image.fromarray(image[top:bottom, left:right]).reduce(block)))[None], first
