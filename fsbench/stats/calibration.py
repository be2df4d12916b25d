"""How well a judge tells the people of a data set apart: what its cosines mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fsbench.results import OperatingPoint

RULE_OF_30 = 30
"""Errors that must be seen for a rate to be within 30 % of the truth, nine times out of ten, were they independent."""

STEPS = 10_000
"""Cosines are rounded to one part in this: a step is far below any judge's noise, and a matrix becomes a histogram."""

_GRID = np.arange(-STEPS, STEPS + 2) / STEPS  # one step beyond 1: a threshold that nobody reaches


@dataclass(frozen=True, eq=False)
class Pairs:
    """Cosines of one kind of pairs: a histogram on the grid, and exact moments."""

    counts: np.ndarray  # (2 * STEPS + 2,) int64; the last is 0
    mean: float
    variance: float

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def share_at_or_above(self) -> np.ndarray:
        """For every cosine of the grid."""
        return self.counts[::-1].cumsum()[::-1] / self.n


@dataclass(frozen=True, eq=False)
class Calibration:
    """Genuine and impostor pairs of real images under one judge; cosines are rounded to 1e-4 before they are compared.

    Genuine: one person, different sessions. Impostor: two people. Two images of one session are neither, they agree in
    more than the person.
    """

    n_identities: int
    n_images: int  # with a face
    people_pairs: float  # that weigh among the impostors: of how many pairs of people, with equal shares, is as good
    genuine: Pairs
    impostor: Pairs

    def far(self, cosine: np.ndarray) -> np.ndarray:
        """False-accept rate of thresholds of any shape: the share of impostor pairs at or above each."""
        found: np.ndarray = self.impostor.share_at_or_above[_bins(cosine)]
        return found

    def tar(self, cosine: np.ndarray) -> np.ndarray:
        """True-accept rate of thresholds of any shape: the share of genuine pairs at or above each."""
        found: np.ndarray = self.genuine.share_at_or_above[_bins(cosine)]
        return found

    @property
    def n_genuine(self) -> int:
        return self.genuine.n

    @property
    def n_impostor(self) -> int:
        return self.impostor.n

    @property
    def d_prime(self) -> float | None:
        """Distance of the means in standard deviations, (mu_g - mu_i) / sqrt((var_g + var_i) / 2).

        None where neither kind of pairs varies.
        """
        spread = math.sqrt((self.genuine.variance + self.impostor.variance) / 2)
        return (self.genuine.mean - self.impostor.mean) / spread if spread > 1 / STEPS else None

    @property
    def eer(self) -> float:
        """Equal error rate, a share: as many impostor pairs are accepted as genuine ones are refused."""
        return self._crossing[0]

    @property
    def eer_threshold(self) -> float:
        """Cosine at which the rates are equal; the middle, where they are over a range (nobody is confused)."""
        return self._crossing[1]

    @cached_property
    def _crossing(self) -> tuple[float, float]:
        """Rate and threshold, interpolated between steps of the grid."""
        far = self.impostor.share_at_or_above
        lead = far - (1 - self.genuine.share_at_or_above)  # falls from 1 to -1
        below, above = sorted((int(np.flatnonzero(lead >= 0)[-1]), int(np.flatnonzero(lead <= 0)[0])))
        fall = lead[below] - lead[above]
        part = lead[below] / fall if fall > 0 else 0.5
        rate, threshold = (values[below] + part * (values[above] - values[below]) for values in (far, _GRID))
        return float(rate), float(threshold)

    def point(self, far: float) -> OperatingPoint:
        """The lowest threshold whose false-accept rate is at most `far`, and its true-accept rate.

        Null, with the reason, for fewer than 30 / far impostor pairs, and for fewer than 30 pairs of people, whose
        images are no independent trials: rule of 30, Doddington et al., Speech Communication 31, 2000.
        """
        if self.people_pairs < RULE_OF_30:
            reason = f"impostors are worth {self._worth} of people, {RULE_OF_30} are wanted (--gallery DIR adds some)"
            return OperatingPoint(far=far, threshold=None, tar=None, reason=reason)
        needed = math.ceil(round(RULE_OF_30 / far, 6))
        if self.impostor.n < needed:
            reason = f"{self.impostor.n} impostor pairs are too few for a false-accept rate of {far:g}: {needed} needed"
            return OperatingPoint(far=far, threshold=None, tar=None, reason=reason)
        lowest = int(np.flatnonzero(self.impostor.share_at_or_above <= far)[0])
        if _GRID[lowest] > 1:
            reason = f"more than {far:g} of the impostor pairs are the same vector"
            return OperatingPoint(far=far, threshold=None, tar=None, reason=reason)
        return OperatingPoint(
            far=far, threshold=float(_GRID[lowest]), tar=float(self.genuine.share_at_or_above[lowest])
        )

    @property
    def _worth(self) -> str:
        weight = round(self.people_pairs)
        return "one pair" if weight == 1 else f"{weight} pairs"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What limits the figures, one sentence each."""
        said = []
        if self.people_pairs < RULE_OF_30:
            said.append(
                f"the impostor pairs are worth {self._worth} of people, {RULE_OF_30} are wanted: the figures tell "
                "these few apart rather than strangers, and there is no threshold"
            )
        if self.genuine.n < RULE_OF_30:
            said.append(f"there are {self.genuine.n} genuine pairs only: true-accept rates and EER are rough")
        return tuple(said)

    def densities(self, bins: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (bins + 1,) over [-1, 1] and the share of genuine and of impostor pairs between them, (bins,) each."""
        edges = np.linspace(-1, 1, bins + 1) - 0.5 / STEPS  # between the steps of the grid
        edges[-1] += 1 / STEPS                           # the last bin has both ends of the range
        genuine, impostor = (
            np.histogram(_GRID[:-1], edges, weights=pairs.counts[:-1] / pairs.n)[0]
            for pairs in (self.genuine, self.impostor)
        )
        return edges, genuine, impostor


def calibrate(
    vectors: np.ndarray, identity: np.ndarray, session: np.ndarray, *, block: int = 1024
) -> Calibration | None:
    """Compare all pairs of real images; None where there is no genuine or no impostor pair.

    `vectors` (N, D) have unit length, rows of NaN (no face) are left out; `identity` and `session` (N,) are labels.
    The matrix of cosines is never held: memory is the vectors' and that of some tiles of `block` x `block`.
    """
    seen = ~np.isnan(vectors).any(1)
    vectors = vectors[seen].astype(np.float64)  # single precision would put some pairs a step off, by block size
    person = np.unique(identity[seen], return_inverse=True)[1]
    series = np.unique(session[seen], return_inverse=True)[1]
    genuine, impostor = _Tally(), _Tally()
    for cosine, rows, columns in _tiles(vectors, block):
        upper = rows[:, None] < columns
        same = person[rows][:, None] == person[columns]
        impostor.add(cosine[upper & ~same])
        genuine.add(cosine[upper & same & (series[rows][:, None] != series[columns])])
    if not genuine.n or not impostor.n:
        return None
    images = np.bincount(person)
    return Calibration(len(images), len(vectors), _people_pairs(images), genuine.pairs(), impostor.pairs())


def _people_pairs(images: np.ndarray) -> float:
    """Effective number of pairs of people with (P,) images each: (sum w)^2 / sum w^2 of w = n_a n_b, Kish 1965."""
    square, fourth = (float((images.astype(np.float64) ** power).sum()) for power in (2, 4))
    return (float(images.sum()) ** 2 - square) ** 2 / (2 * (square**2 - fourth))


def _tiles(vectors: np.ndarray, block: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Tiles of the upper triangle of the matrix of cosines, with the indices of their rows and columns."""
    parts = [np.arange(start, min(start + block, len(vectors))) for start in range(0, len(vectors), block)]
    for i, rows in enumerate(parts):
        for columns in parts[i:]:
            yield vectors[rows] @ vectors[columns].T, rows, columns


class _Tally:
    """Adds cosines up."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(_GRID), np.int64)
        self.n, self.total, self.squares = 0, 0.0, 0.0

    def add(self, cosine: np.ndarray) -> None:
        self.counts += np.bincount(_bins(cosine), minlength=len(_GRID))
        self.n += len(cosine)
        self.total += float(cosine.sum())
        self.squares += float(cosine @ cosine)

    def pairs(self) -> Pairs:
        mean = self.total / self.n
        return Pairs(self.counts, mean, max(self.squares / self.n - mean**2, 0.0))


def _bins(cosine: np.ndarray) -> np.ndarray:
    """Indices into the grid; rounding may have carried a cosine beyond 1."""
    found: np.ndarray = np.rint(np.clip(cosine, -1, 1) * STEPS).astype(np.int64) + STEPS
    return found
