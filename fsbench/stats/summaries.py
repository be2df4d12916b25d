"""Values of rows, for the metrics that need no more: `summarise = staticmethod(mean)`."""

from __future__ import annotations

import numpy as np


def mean(rows: np.ndarray) -> float:
    """Mean of the rows, (M,) or (M, 1)."""
    return float(rows.mean())


def percentage(rows: np.ndarray) -> float:
    """Mean of the rows in percent, for rows that are shares, (M,) or (M, 1)."""
    return float(100 * rows.mean())
