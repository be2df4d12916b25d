"""Distance of two Gaussians, and of two sets of features through their means and covariances; all in float64."""

from __future__ import annotations

from functools import cached_property

import numpy as np

BLOCK = 1024
"""Rows that `Moments.add` takes into float64 at a time."""

RANK = 1e-13
"""Share of the largest eigenvalue below which one of a covariance is rounding."""

SIZES, SMALLEST = 15, 0.5
"""Subset sizes of the extrapolation, evenly spread from this share of the rows to all of them."""


def frechet_distance(mean_1: np.ndarray, cov_1: np.ndarray, mean_2: np.ndarray, cov_2: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians, |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)); >= 0.

    Means (D,), covariances (D, D), of any rank. Raises ValueError for shapes that do not fit, for what is not finite
    and for matrices that are no covariances. The eigenvalues of S1 S2 are those of a symmetric matrix, which are real.
    A distance that rounding puts below 0 is given as 0; rounding is about 1e-8 of the traces, so that two equal
    Gaussians need not be at exactly 0.
    """
    mean_1, cov_1 = _checked(mean_1, cov_1)
    mean_2, cov_2 = _checked(mean_2, cov_2)
    if mean_1.shape != mean_2.shape:
        raise ValueError(f"the Gaussians have {len(mean_1)} and {len(mean_2)} dimensions")
    root = np.sqrt(_eigenvalues_of_product(cov_1, cov_2).clip(0)).sum()
    return max(float(((mean_1 - mean_2) ** 2).sum() + cov_1.trace() + cov_2.trace() - 2 * root), 0.0)


def _checked(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, cov = np.asarray(mean, np.float64), np.asarray(cov, np.float64)
    if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
        raise ValueError(f"a mean of shape {mean.shape} and a covariance of shape {cov.shape} do not fit")
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        raise ValueError("means and covariances must be finite")
    error = 1e-8 * np.abs(cov).max(initial=0)
    if (cov.diagonal() < -error).any() or ((cov != cov.T).any() and np.abs(cov - cov.T).max() > error):
        raise ValueError("a covariance is symmetric, and its diagonal is not negative")
    return mean, cov


def _eigenvalues_of_product(cov_1: np.ndarray, cov_2: np.ndarray) -> np.ndarray:
    """Of S1 S2 but for some that are 0: those of L^T S1 L, S2 = L L^T, and of F^T G where S2 is singular."""
    from scipy.linalg import LinAlgError, eigh  # slow to import

    try:
        values: np.ndarray = eigh(cov_1, cov_2, type=2, eigvals_only=True, driver="gv", check_finite=False)
    except LinAlgError:
        A = _factor(cov_1).T @ _factor(cov_2)  # (rank of S1, rank of S2)
        A = A if len(A) <= A.shape[1] else A.T
        values = np.linalg.eigvalsh(A @ A.T)
    return values


def _factor(cov: np.ndarray) -> np.ndarray:
    """(D, D) of rank r -> (D, r), F with F F^T = cov: the Cholesky factor with pivots, which bears any rank."""
    from scipy.linalg.lapack import dpstrf  # slow to import

    upper, pivots, rank, _ = dpstrf(cov.T, lower=0)  # in Fortran's order, which the transpose has already
    factor = np.empty((len(cov), rank))
    factor[pivots - 1] = np.tril(upper.T)[:, :rank]
    return factor


class Moments:
    """Mean and covariance of rows that come in blocks; order, block size and shards make no difference.

    Chan, Golub & LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979. Memory is
    that of a few (D, D) matrices, whatever the number of rows.
    """

    def __init__(self, dim: int) -> None:
        self.n = 0
        self.mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))

    def add(self, rows: np.ndarray, copies: np.ndarray | None = None) -> None:
        """Take (N, D) rows in, `copies` (N,) of each; raises ValueError for another D and for what is not finite."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ValueError(f"rows are {rows.shape}, not (N, {len(self.mean)})")
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK].astype(np.float64)
            weights = np.ones(len(block)) if copies is None else copies[start : start + BLOCK].astype(np.float64)
            if not weights.any():
                continue
            mean = weights @ block / weights.sum()
            if not np.isfinite(mean).all():
                raise ValueError("features must be finite")
            block = (block - mean) * np.sqrt(weights)[:, None]
            self._join(int(weights.sum()), mean, block.T @ block)

    def merge(self, other: Moments) -> None:
        """Add the rows that another shard has counted."""
        if other.mean.shape != self.mean.shape:
            raise ValueError(f"the shards have {len(self.mean)} and {len(other.mean)} dimensions")
        if other.n:
            self._join(other.n, other.mean, other._scatter)

    def _join(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        total, step = self.n + n, mean - self.mean
        self._scatter += scatter
        self._scatter += np.outer(step * (self.n * n / total), step)
        self.mean = self.mean + step * (n / total)
        self.n = total

    @property
    def cov(self) -> np.ndarray:
        """(D, D), divided by n - 1; raises ValueError for fewer than two rows."""
        if self.n < 2:
            raise ValueError(f"a covariance needs two images, there are {self.n}")
        return self._scatter / (self.n - 1)


class FrechetOfFeatures:
    """Frechet distance of two sets of features whose rows have weights: prepared once, asked for many weightings.

    `features_1` (N, D) and `features_2` (M, D). Weights are numbers of copies, (N,) and (M,), each with a sum of at
    least 2; covariances are divided by that sum less 1. Where the cross-Gram matrix G = X Y^T of the centred features
    is no larger than a covariance matrix, the trace of (S1 S2)^(1/2) is the nuclear norm of G / sqrt((n - 1)(m - 1)):
    G is made once, and a resample takes its rows and columns. Precise to about 1e-15 of the traces.
    """

    def __init__(self, features_1: np.ndarray, features_2: np.ndarray) -> None:
        x, y = np.asarray(features_1, np.float64), np.asarray(features_2, np.float64)
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.shape[1]:
            raise ValueError(f"features of shapes {x.shape} and {y.shape} do not fit")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("features must be finite")
        centre = y.mean(0) if len(y) else 0  # a common shift changes nothing, and small numbers round less
        self._x, self._y = x - centre, y - centre
        self._squares = (self._x**2).sum(1), (self._y**2).sum(1)
        self._gram = self._x @ self._y.T if len(x) * len(y) <= x.shape[1] ** 2 else None  # (N, M)

    def __call__(self, weights_1: np.ndarray, weights_2: np.ndarray) -> float:
        weights = [np.asarray(w, np.float64) for w in (weights_1, weights_2)]
        if min(w.sum() for w in weights) < 2:
            raise ValueError("a covariance needs two images on either side")
        means = [w @ rows / w.sum() for w, rows in zip(weights, (self._x, self._y), strict=True)]
        if self._gram is None:
            covs = [_covariance(*each) for each in zip((self._x, self._y), weights, means, strict=True)]
            return frechet_distance(means[0], covs[0], means[1], covs[1])
        traces = [
            (w @ squares - w.sum() * mean @ mean) / (w.sum() - 1)
            for w, squares, mean in zip(weights, self._squares, means, strict=True)
        ]
        root = _nuclear_norm(self._gram, *weights)
        return max(float(((means[0] - means[1]) ** 2).sum() + sum(traces) - 2 * root), 0.0)


class LinearFrechet:
    """Frechet distance of many rows and their partners: of all of them, and to first order of resamples.

    `features_1` (N, D), `features_2` (M, D), and `partner` (N,), the row of `features_2` that belongs to each row. A
    resample moves the two Gaussians a little. Its distance is that of all rows and the mean, over its rows, of what a
    row adds to the distance at first order (the influence function): 2 (m1 - m2) (x - m1) + (x - m1)^T (1 - T) (x - m1)
    for a row x, where T is the map of optimal transport, T S1 T = S2, and likewise for its partner. Nothing of the size
    of the features is made.
    """

    def __init__(self, features_1: np.ndarray, features_2: np.ndarray, partner: np.ndarray) -> None:
        self._sides = features_1, features_2
        self._partner = partner
        self._moments = Moments(features_1.shape[1]), Moments(features_2.shape[1])
        self._moments[0].add(features_1)
        self._moments[1].add(features_2, np.bincount(partner, minlength=len(features_2)))
        first, second = self._moments
        self.value = frechet_distance(first.mean, first.cov, second.mean, second.cov)

    def __call__(self, counts: np.ndarray) -> float:
        """The distance of a resample with `counts` (N,) copies of each row; exact for one copy of each."""
        if (counts == 1).all():
            return self.value
        return max(self.value + float(counts @ self._influence / counts.sum()), 0.0)

    @cached_property
    def _influence(self) -> np.ndarray:
        """What each row and its partner add, (N,), with a mean of 0."""
        first, second = self._moments
        step = first.mean - second.mean
        there, back = _transport(first.cov, second.cov)
        influence: np.ndarray = _quadratic(self._sides[0], first.mean, 2 * step, there)
        influence += _quadratic(self._sides[1], second.mean, -2 * step, back)[self._partner]
        influence -= influence.mean()
        return influence


def _transport(cov_1: np.ndarray, cov_2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps T with T S1 T = S2 and its inverse; directions in which a side does not vary are left out."""
    values, vectors = np.linalg.eigh(cov_1)
    kept = values > RANK * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])  # (D, r), S1 = root root^T
    inverse = vectors[:, kept] / np.sqrt(values[kept])
    inner, rotation = np.linalg.eigh(root.T @ cov_2 @ root)  # of the eigenvalues of S1 S2
    varies = inner > RANK * inner[-1]
    scale, rotation = np.sqrt(inner[varies]), rotation[:, varies]
    there, back = inverse @ rotation, root @ rotation
    return (there * scale) @ there.T, (back / scale) @ back.T


def _quadratic(rows: np.ndarray, mean: np.ndarray, linear: np.ndarray, transport: np.ndarray) -> np.ndarray:
    """l . z + z^T (1 - T) z of the centred rows z, (N,)."""
    values, matrix = np.empty(len(rows)), np.eye(len(mean)) - transport
    for start in range(0, len(rows), BLOCK):
        centred = rows[start : start + BLOCK].astype(np.float64) - mean
        values[start : start + BLOCK] = centred @ linear + ((centred @ matrix) * centred).sum(1)
    return values


def _covariance(rows: np.ndarray, weights: np.ndarray, mean: np.ndarray) -> np.ndarray:
    drawn, n = weights > 0, weights.sum()
    scaled = (rows[drawn] - mean) * np.sqrt(weights[drawn])[:, None]
    cov: np.ndarray = scaled.T @ scaled / (n - 1)
    return cov


def _nuclear_norm(gram: np.ndarray, weights_1: np.ndarray, weights_2: np.ndarray) -> float:
    """Nuclear norm of the Gram matrix of the centred, weighted rows: only rows that were drawn count.

    With W = diag(w), the scatter of X is X^T W^(1/2) (1 - u u^T) W^(1/2) X, u = w^(1/2) / |w^(1/2)|.
    """
    drawn_1, drawn_2 = np.flatnonzero(weights_1), np.flatnonzero(weights_2)
    root_1, root_2 = np.sqrt(weights_1[drawn_1]), np.sqrt(weights_2[drawn_2])
    A = root_1[:, None] * gram[np.ix_(drawn_1, drawn_2)] * root_2
    u, v = root_1 / np.linalg.norm(root_1), root_2 / np.linalg.norm(root_2)
    A -= np.outer(u, u @ A)
    A -= np.outer(A @ v, v)
    return float(np.linalg.svd(A, compute_uv=False).sum() / np.sqrt((weights_1.sum() - 1) * (weights_2.sum() - 1)))


def frechet_infinity(features_1: np.ndarray, features_2: np.ndarray, *, seed: int = 0) -> float:
    """Frechet distance of two sets (N, D) whose rows belong together, extrapolated to infinitely many.

    The distance of few rows is too large by about b / n: it is computed on random subsets of pairs, from half of them
    to all, and the line in 1 / n is followed to 0, Chong & Forsyth, Effectively unbiased FID and Inception Score, CVPR
    2020, section 3. Both sides are subsets here: both are samples. Theirs start at a tenth, of 50,000: with fewer rows
    than dimensions the line bends, and a tenth of a few thousand is fewer.
    Deterministic in `seed` and the order of the rows. Sets that are nearly the same may give a value below 0.
    """
    n = len(features_1)
    if n != len(features_2):
        raise ValueError(f"{n} and {len(features_2)} rows do not belong together")
    random = np.random.default_rng(seed)
    sizes = np.unique(np.linspace(max(SMALLEST * n, 2), n, SIZES).astype(int))
    if len(sizes) < 3:
        raise ValueError(f"{n} images are too few for a line")
    distances = []
    for size in sizes:
        drawn = random.choice(n, size, replace=False)
        ones = np.ones(size)
        distances.append(FrechetOfFeatures(features_1[drawn], features_2[drawn])(ones, ones))
    return float(np.polynomial.Polynomial.fit(1 / sizes, distances, 1)(0.0))
