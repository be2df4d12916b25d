"""Values of rows, for the metrics that need no more: `summarise = staticmethod(mean)`."""

from __future__ import annotations

import numpy as np


def mean(rows: np.ndarray) -> float:
    """Mean of the rows, (M,) or (M, 1)."""
    return float(rows.mean())


def percentage(rows: np.ndarray) -> float:
    """Mean of the rows in percent, for rows that are shares, (M,) or (M, 1)."""
    return float(100 * rows.mean())


def geometric_mean(rows: np.ndarray) -> float:
    """Geometric mean of the rows, for rows that are ratios, (M,) or (M, 1); 0 where one is 0."""
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(rows).mean()))
