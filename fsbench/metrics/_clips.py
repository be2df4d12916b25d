"""Which frames of a clip follow each other, and how numbers jump between them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

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


def root_mean_square(vectors: np.ndarray) -> Tensor:
    """Root mean square length of the known ones of (N, P, C) vectors, (1,); NaN where none is known."""
    power = (vectors**2).sum(2)
    power = power[np.isfinite(power)]
    return torch.tensor([math.sqrt(power.mean()) if len(power) else math.nan], dtype=torch.float64)
