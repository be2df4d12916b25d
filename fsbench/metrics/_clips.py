"""Metrics that are made of rows of frames, which frames of a clip follow each other, and how numbers jump there."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch

WHITE = 6.0
"""Variance of the second difference of independent numbers of variance 1: 1 + 4 + 1."""


def jumps(values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Second difference over sqrt(6) of (N, ...) at each of the ascending frames (N,); NaN without both neighbours.

    Of independent numbers it has their variance; what stays, or changes evenly, has none.
    """
    second = np.full(values.shape, math.nan)
    second[1:-1] = (values[2:] - 2 * values[1:-1] + values[:-2]) / math.sqrt(WHITE)
    second[1:-1][(np.diff(frame[:-1]) != 1) | (np.diff(frame[1:]) != 1)] = math.nan
    return second


def next_to(frame: np.ndarray) -> np.ndarray:
    """Which of the ascending frames (N,) are followed by the next one, (N - 1,) bool."""
    following: np.ndarray = np.diff(frame) == 1
    return following


def known_mean(rows: np.ndarray) -> float:
    """Mean of what is known of rows (M, K); NaN where nothing is."""
    known = rows[np.isfinite(rows)]
    return float(known.mean()) if known.size else math.nan


def to_frames(values: Tensor | np.ndarray, places: Tensor | np.ndarray, n: int) -> Tensor:
    """Put values (M,) of the frames at `places`, (N,) bool or (M,) indices, into rows of all, (N, 1); NaN elsewhere."""
    rows = torch.full((n, 1), torch.nan, dtype=torch.float64)
    rows[places, 0] = torch.as_tensor(values, dtype=torch.float64)
    return rows


class OfFrames:
    """A metric of clips whose row is the mean of a number of each frame, unless `clip_row` says otherwise."""

    def frame_rows(self, batch: Batch) -> Tensor:
        """See `Framewise`."""
        raise NotImplementedError

    def clip_row(self, rows: np.ndarray) -> float:
        """See `Framewise`."""
        return known_mean(rows)

    def measure(self, batch: Batch) -> Tensor:
        """See `RowMetric`."""
        return torch.tensor([self.clip_row(self.frame_rows(batch).cpu().numpy())], dtype=torch.float64)  # (1,)


class OfSquares(OfFrames):
    """A metric of clips whose row is the root of the mean of squares of each frame."""

    def clip_row(self, rows: np.ndarray) -> float:
        return math.sqrt(known_mean(rows))
