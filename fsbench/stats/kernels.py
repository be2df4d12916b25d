"""Maximum mean discrepancy of two samples whose rows belong together: row i of one was made from row i of the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(N, D) and (M, D) -> (N, M)"""

BLOCK = 1000
"""Rows and columns of a tile: kernel matrices are computed tile by tile."""

HELD = 4000
"""Up to so many rows the matrix is kept for resampling (128 MB); beyond, its row sums are."""


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x . y / D + 1)^3, the kernel of KID."""
    base = x @ y.T / x.shape[1] + 1
    cube: np.ndarray = base * base * base
    return cube


def gaussian(sigma: float) -> Kernel:
    """exp(-|x - y|^2 / (2 sigma^2)), the kernel of CMMD; raises ValueError for a sigma that is not positive."""
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma is a positive number, not {sigma:g}")

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * (x @ y.T)
        similarity: np.ndarray = np.exp(squares.clip(0) / (-2 * sigma**2))
        return similarity

    return kernel


class PairedMmd:
    """Unbiased estimate of MMD^2, prepared once for many resamples; may be negative, and is 0 on average for no effect.

    `x`, `y` (N, D); `group` (N,): rows of one group are no independent draws (outputs made from one target), None where
    all are. Mean of h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j) over pairs of rows i, j of different
    groups, Gretton et al., A kernel two-sample test, JMLR 13, 2012, Lemma 6. The usual estimate takes k(x_i, y_i) in as
    well; where x_i was made from y_i these are near each other, and make it too small by 2 / N of how much nearer they
    are. Over all ways to pair the rows the two agree on average. All pairs are taken, not subsets of 1,000: the mean of
    random subsets is an estimate of this one. Time grows with N^2, memory does not: float64 is made tile by tile.

    Raises ValueError for shapes that do not fit, for what is not finite and where all rows are of one group.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, kernel: Kernel, group: np.ndarray | None = None) -> None:
        if x.ndim != 2 or x.shape != y.shape:
            raise ValueError(f"features of shapes {x.shape} and {y.shape} do not belong together")
        n = len(x)
        parts = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
        if not all(np.isfinite(side[part]).all() for part in parts for side in (x, y)):
            raise ValueError("features must be finite")
        self._group = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1]
        if len(np.unique(self._group)) < 2:
            raise ValueError("a discrepancy needs two different images")
        self._held = np.empty((n, n)) if n <= HELD else None
        self._sums = np.zeros(n)  # of h over the partners of each row
        self._partners = n - np.bincount(self._group)[self._group]
        for i, rows in enumerate(parts):
            for columns in parts[i:]:
                self._add(x, y, kernel, rows, columns)
        self.value = float(self._sums.sum() / self._partners.sum())

    def _add(self, x: np.ndarray, y: np.ndarray, kernel: Kernel, rows: slice, columns: slice) -> None:
        """Add one tile, and its mirror image below the diagonal."""
        x_i, x_j, y_i, y_j = (side[part].astype(np.float64) for side in (x, y) for part in (rows, columns))
        tile = kernel(x_i, x_j) + kernel(y_i, y_j)
        tile -= kernel(x_i, y_j) + kernel(y_i, x_j)
        tile[self._group[rows][:, None] == self._group[columns]] = 0
        self._sums[rows] += tile.sum(1)
        if rows != columns:
            self._sums[columns] += tile.sum(0)
        if self._held is not None:
            self._held[rows, columns] = tile
            self._held[columns, rows] = tile.T

    def __call__(self, counts: np.ndarray) -> float:
        """The estimate for a resample with `counts` (N,) copies of each row; NaN where it has one group only.

        Two copies of one row are no pair, nor are rows of one group: k(x, x) in the sums would make it too large.
        Where the matrix is not held it is the first-order (Hajek) term, which varies as the whole does unless the two
        distributions are the same; then it varies too little.
        """
        counts = np.asarray(counts, np.float64)
        if self._held is None:
            return float(2 * (counts @ self._sums) / (counts @ self._partners) - self.value)
        pairs = counts.sum() ** 2 - (np.bincount(self._group, counts) ** 2).sum()
        return float(counts @ self._held @ counts / pairs) if pairs else math.nan
