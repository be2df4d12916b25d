"""How well a judge tells the people of a data set apart: what its cosines mean."""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fsbench.results import OperatingPoint
from fsbench.stats.resampling import ENOUGH_PEOPLE, FEWEST_DEGREES, Draws, Spread

RULE_OF_30 = 30
"""Errors that must be seen for a rate to be within 30 % of the truth, nine times out of ten, were they independent."""

STEPS = 10_000
"""Cosines are rounded to one part in this: a step is far below any judge's noise, and a matrix becomes a histogram."""

WORKS = 1.5
"""d' below which a judge does not tell people apart: with normal distributions it errs on 23 of 100 pairs (EER).

Measured on 360 photographs of LFW: ArcFace's and EdgeFace's networks 5.9 to 6.5, with red and blue exchanged too; given
levels of another range 0.2 and 0.9; an ImageNet classifier 0.8 (logits) to 1.3 (pooled, centred; interval up to 1.46);
pixels 0.7; random networks 0.5; noise 0.0.
"""

MOST = 20_000
"""Images that are compared, 2e8 pairs; time grows with the square. With 4,000 images (benchmarks/simulate_scale.py) a
threshold is within .001 of that of many, and a true-accept rate within half a percent."""

_FEWEST_EACH = 8
"""Images of a person that are drawn at least, where there are so many: genuine pairs need some."""

MOST_LOST = 0.5
"""Share of the faces of which a judge may give no vector, at most."""

_MOST_UNITS, _RESAMPLES, _SEED = 200, 500, (0,)

_GRID = np.arange(-STEPS, STEPS + 2) / STEPS  # one step beyond 1: a threshold that nobody reaches


@dataclass(frozen=True, eq=False)
class PairCosines:
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
    genuine: PairCosines
    impostor: PairCosines
    d_prime_low: float | None = None  # 95 % interval; people are resampled, or their sessions where people are few
    d_prime_high: float | None = None
    drawn_of: int = 0  # images with a face, of which `n_images` were drawn; 0: all were compared

    def far(self, cosine: np.ndarray) -> np.ndarray:
        """False-accept rate of thresholds of any shape: the share of impostor pairs at or above each."""
        rate: np.ndarray = self.impostor.share_at_or_above[_bins(cosine)]
        return rate

    def tar(self, cosine: np.ndarray) -> np.ndarray:
        """True-accept rate of thresholds of any shape: the share of genuine pairs at or above each."""
        rate: np.ndarray = self.genuine.share_at_or_above[_bins(cosine)]
        return rate

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
        value = float(_d_prime(self.genuine.mean, self.genuine.variance, self.impostor.mean, self.impostor.variance))
        return None if math.isnan(value) else value

    @property
    def fault(self) -> str:
        """Why the judge counts for nothing here, "" where it works or is not shown to fail.

        Pairs that are few show nothing: they take no judge away.
        """
        if self.d_prime is None:
            same = self.genuine.mean - self.impostor.mean <= 1 / STEPS
            return "it gives the real images of all people one vector" * same
        if self.d_prime_high is None or self.d_prime_high >= WORKS or min(self.n_genuine, self.n_impostor) < RULE_OF_30:
            return ""
        return f"it cannot tell the people of the real images apart: {self._measured}, {WORKS:g} is wanted"

    @property
    def doubt(self) -> str:
        """Why it is not shown that the judge works, where nothing shows that it fails."""
        if self.fault or self.d_prime is None or (self.d_prime_low is not None and self.d_prime_low >= WORKS):
            return ""
        return f"it is not shown to tell people apart: {self._measured}, {WORKS:g} is wanted"

    @property
    def _measured(self) -> str:
        interval = "no interval" if self.d_prime_low is None else f"{self.d_prime_low:.2f} to {self.d_prime_high:.2f}"
        pairs = f"{self.n_genuine:,} genuine and {self.n_impostor:,} impostor pairs"
        return f"d' {self.d_prime:.2f} ({interval}) of {pairs}"

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
        warnings = []
        if self.drawn_of:
            warnings.append(f"{self.n_images:,} of {self.drawn_of:,} images were compared, drawn by their content")
        if self.people_pairs < RULE_OF_30:
            warnings.append(
                f"the impostor pairs are worth {self._worth} of people, {RULE_OF_30} are wanted: the figures tell "
                "these few apart rather than strangers, and there is no threshold"
            )
        if self.genuine.n < RULE_OF_30:
            warnings.append(f"there are {self.genuine.n} genuine pairs only: true-accept rates and EER are rough")
        if self.doubt:
            warnings.append(self.doubt)
        return tuple(warnings)

    def densities(self, bins: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (bins + 1,) over [-1, 1] and the share of genuine and of impostor pairs between them, (bins,) each."""
        edges = np.linspace(-1, 1, bins + 1) - 0.5 / STEPS  # between the steps of the grid
        edges[-1] += 1 / STEPS  # the last bin has both ends of the range
        genuine, impostor = (
            np.histogram(_GRID[:-1], edges, weights=pairs.counts[:-1] / pairs.n)[0]
            for pairs in (self.genuine, self.impostor)
        )
        return edges, genuine, impostor


def calibrate(
    vectors: np.ndarray, identity: np.ndarray, session: np.ndarray, *, block: int = 512, most: int = MOST
) -> Calibration | None:
    """Compare all pairs of real images; None where there is no genuine or no impostor pair.

    `vectors` (N, D) have unit length, rows of NaN (no face) are left out; `identity` and `session` (N,) are labels. Of
    more than `most` images with a face some are drawn, the same ones in any order of the images.
    The matrix of cosines is never held: memory is the vectors' and that of some tiles of `block` x `block`.
    """
    compared = np.flatnonzero(~np.isnan(vectors).any(1))
    n_faces = len(compared)
    if n_faces > most:
        compared = compared[_drawn(vectors[compared], identity[compared], most)]
    vectors = vectors[compared].astype(np.float64)  # single precision would put some pairs a step off, by block size
    person = np.unique(identity[compared], return_inverse=True)[1]
    series = np.unique(session[compared], return_inverse=True)[1]
    draws = _draws(person, series)
    unit, n_units = draws.cluster, len(draws.stratum)
    genuine, impostor = _Tally(n_units), _Tally(n_units)
    for cosine, rows, columns in _tiles(vectors, block):
        upper = rows[:, None] < columns
        same = person[rows][:, None] == person[columns]
        units = unit[rows][:, None] * n_units + unit[columns]
        for tally, kind in ((impostor, ~same), (genuine, same & (series[rows][:, None] != series[columns]))):
            tally.add(cosine[upper & kind], units[upper & kind])
    if not genuine.n or not impostor.n:
        return None
    images = np.bincount(person)
    low, high = _interval(genuine, impostor, draws)
    drawn_of = n_faces if n_faces > most else 0
    kinds = genuine.pairs(), impostor.pairs()
    return Calibration(len(images), len(vectors), _people_pairs(images), *kinds, low, high, drawn_of)


def _drawn(vectors: np.ndarray, identity: np.ndarray, most: int) -> np.ndarray:
    """Choose at most `most` of N images: the same number of each person, as far as people have so many.

    Where that number would be below _FEWEST_EACH, so many are taken of some people. Images are chosen by their vectors.
    """
    person, counts = np.unique(identity, return_inverse=True, return_counts=True)[1:]
    share = bisect.bisect_right(range(1, most + 1), most, key=lambda n: np.minimum(counts, n).sum())
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in np.ascontiguousarray(vectors)]
    order = np.lexsort((np.frombuffer(b"".join(digests), "<u8"), person))
    rank = np.arange(len(order)) - np.searchsorted(person[order], person[order])
    taken = np.minimum(counts, max(share, _FEWEST_EACH))
    people = np.random.default_rng(_SEED).permutation(len(counts))
    people = people[taken[people].cumsum() <= most]
    chosen: np.ndarray = order[(rank < taken[person[order]]) & np.isin(person[order], people)]
    return chosen


def fault(vectors: np.ndarray, n_faces: int, calibration: Calibration | None) -> str:
    """Why a judge counts for nothing, "" where it does: a sentence that begins with "it".

    `vectors` (N, D) of the real images have unit length or are NaN; in `n_faces` of them there is a face.
    """
    known = vectors[~np.isnan(vectors).any(1)].astype(np.float64)
    reason = lost(len(known), n_faces)
    if n_faces - len(known) > MOST_LOST * n_faces:
        return reason
    if len(known) > 1 and (known @ known[0] > 1 - 1 / STEPS).all():
        return f"it gives all {len(known)} real images the same vector"
    if calibration is None:
        return f"{reason}, and the others give no pair" if reason else ""
    return calibration.fault


def lost(n_vectors: int, n_faces: int) -> str:
    """Say of how many faces a judge gave no vector, "" where it gave one of each."""
    missing = n_faces - n_vectors
    return f"it gave NaN, infinity or zeros for {missing} of {n_faces} real images with a face" if missing else ""


def _draws(person: np.ndarray, series: np.ndarray) -> Draws:
    """Choose what is drawn again: people, or the sessions of each where people are few; some merged, of many."""
    few = person.max(initial=-1) + 1 < ENOUGH_PEOPLE
    labels, strata = (series, person) if few else (person, np.zeros(len(person), np.int64))
    return Draws.of(labels, strata, resamples=_RESAMPLES, seed=_SEED, most=_MOST_UNITS)


def _interval(genuine: _Tally, impostor: _Tally, draws: Draws) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of d': pairs of two units weigh as often as both are in a resample."""
    weights = draws.counts.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = draws.variance(_d_prime(*genuine.moments(weights), *impostor.moments(weights)))
    if draws.degrees_of_freedom < FEWEST_DEGREES[0] or not math.isfinite(variance):  # or most have no pair of one kind
        return None, None
    once = np.ones((1, len(draws.stratum)))
    value = float(_d_prime(*genuine.moments(once), *impostor.moments(once))[0])
    return Spread(math.sqrt(variance), draws.degrees_of_freedom).interval(value)


def _d_prime(genuine_mean: Any, genuine_variance: Any, impostor_mean: Any, impostor_variance: Any) -> np.ndarray:
    """NaN where neither kind varies."""
    spread = np.sqrt((genuine_variance + impostor_variance) / 2)
    return np.where(spread > 1 / STEPS, (genuine_mean - impostor_mean) / np.maximum(spread, 1 / STEPS), np.nan)


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

    def __init__(self, n_units: int) -> None:
        self.counts = np.zeros(len(_GRID), np.int64)
        self.n, self.total, self.squares = 0, 0.0, 0.0
        self.by_units = np.zeros((3, n_units**2))  # number, sum and sum of squares, by pairs of units

    def add(self, cosine: np.ndarray, units: np.ndarray) -> None:
        """Add (K,) cosines, each of a pair of units a and b, written a * U + b."""
        self.counts += np.bincount(_bins(cosine), minlength=len(_GRID))
        self.n += len(cosine)
        self.total += float(cosine.sum())
        self.squares += float(cosine @ cosine)
        for power, sums in enumerate(self.by_units):
            sums += np.bincount(units, cosine**power, minlength=len(sums))

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, (R,) each, where units weigh (R, U): within a unit once, between two by their product."""
        n_units = weights.shape[1]
        number, total, squares = (
            ((weights @ (sums - np.diag(np.diag(sums)))) * weights).sum(1) + weights @ np.diag(sums)
            for sums in self.by_units.reshape(3, n_units, n_units)
        )
        return total / number, np.maximum(squares / number - (total / number) ** 2, 0)

    def pairs(self) -> PairCosines:
        mean = self.total / self.n
        return PairCosines(self.counts, mean, max(self.squares / self.n - mean**2, 0.0))


def _bins(cosine: np.ndarray) -> np.ndarray:
    """Indices into the grid; rounding may have carried a cosine beyond 1."""
    index: np.ndarray = np.rint(np.clip(cosine, -1, 1) * STEPS).astype(np.int64) + STEPS
    return index
