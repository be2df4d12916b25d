"""Some of many, evenly chosen."""

from __future__ import annotations

import numpy as np


def evenly(n: int, most: int) -> np.ndarray:
    """Return the places of at most `most` of `n` things, evenly spread, ascending and each once, (K,) int.

    >>> evenly(10, 4), evenly(2, 4), evenly(0, 4)
    (array([0, 3, 6, 9]), array([0, 1]), array([], dtype=int64))
    """
    places: np.ndarray = np.linspace(0, n - 1, min(n, most)).round().astype(int)
    return places
