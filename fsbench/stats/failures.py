"""What a pair counts as on which a model failed: the worst value that a baseline has there, or its own where worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Direction = Literal["higher", "lower"]


def floor_of(rows: Sequence[np.ndarray], direction: Direction) -> tuple[np.ndarray, np.ndarray] | None:
    """The worst of the baselines' rows (N,) at each pair, and where all of them have one, (N,) bool.

    NaN where no baseline has a row; the worst value of all pairs where only some have. None without any row.
    """
    if not rows:
        return None
    sign = 1.0 if direction == "higher" else -1.0
    values = sign * np.stack(rows)  # (B, N), more is better
    known = np.isfinite(values)
    if not known.any():
        return None
    everyone: np.ndarray = np.logical_and.reduce(known)
    floor = np.where(everyone, np.where(known, values, np.inf).min(0), values[known].min())
    return sign * np.where(known.any(0), floor, np.nan), everyone


def count_failures(
    own: np.ndarray, failures: np.ndarray, floor: tuple[np.ndarray, np.ndarray], direction: Direction
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a model (N,) with the floor where it failed, and where that is, (N,) bool.

    `failures` (N,) of str: how it failed, "" where it did not. It fails as well where it has no row although every
    baseline has one.
    """
    worst, everyone = floor
    failed = ((failures != "") & np.isfinite(worst)) | (np.isnan(own) & everyone)
    worse = np.fmin if direction == "higher" else np.fmax
    return np.where(failed, worse(own, worst), own), failed
