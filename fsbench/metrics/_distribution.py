"""Distances between the features of outputs and of their targets, shared by the metrics that compare distributions.

The reference set is the targets that were swapped, each as often as it was swapped. A resample takes an output and its
target together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fsbench.errors import NotScorable
from fsbench.interfaces import PairedFeatures
from fsbench.stats.frechet import FrechetOfFeatures, LinearFrechet
from fsbench.stats.kernels import Kernel, PairedMmd
from fsbench.stats.neighbours import hits, radii

Statistic = Callable[[np.ndarray], float]
"""(M,) indices of outputs, with repeats -> the value."""

FEW_FOR_FRECHET = ((500, "unreliable: fewer than 500 images; read the kernel distance (kid, kid_face)"),)
FEW_FOR_FID = (
    *FEW_FOR_FRECHET,
    (2048, "biased upwards: fewer than 2,048 images, the dimensions of the features; read kid"),
)
FEW_FOR_KERNELS = ((100, "fewer than 100 images: read the interval, not the value"),)
FEW_FOR_NEIGHBOURS = ((1000, "fewer than 1,000 images: neighbours are far, and the value depends on their number"),)
FRECHET_RESAMPLES = 200
"""A resample takes 7 ms for 500 images, 0.2 s for 2,000 and 1.4 s for 5,000, because it changes the covariances."""

MANY = 5000
"""Outputs above which a resample is not computed anew: its value is that of all outputs and the first-order change."""

MOST_FOR_KERNELS = 50_000
"""Outputs; a kernel distance of more takes hours, and is certain to three digits long before."""

MOST_FOR_NEIGHBOURS = 10_000
"""Outputs, as Naeem et al. take; the value depends on their number, so that a larger one compares with no paper."""

PER_THOUSAND = 1000
"""Kernel distances are in thousandths, as papers print them."""


def frechet(features: PairedFeatures) -> Statistic:
    """Fréchet distance of outputs and targets; raises NotScorable where all outputs share a target."""
    _enough(features, 1)
    n, image = len(features), features.target_of
    if n > MANY:
        linear = LinearFrechet(features.output, features.target, image)
        return lambda index: linear(np.bincount(index, minlength=n))
    distance = FrechetOfFeatures(features.output, features.target)

    def value(index: np.ndarray) -> float:
        counts = np.bincount(index, minlength=n).astype(np.float64)
        return distance(counts, np.bincount(image, counts))

    return value


def discrepancy(features: PairedFeatures, kernel: Kernel) -> Statistic:
    """Unbiased MMD^2 of outputs and targets in thousandths.

    Pairs of outputs that share a target are left out of all sums. Raises NotScorable where all share one.
    """
    _enough(features, 1)
    estimate = PairedMmd(features.output, features.target[features.target_of], kernel, features.target_of)
    return lambda index: PER_THOUSAND * estimate(np.bincount(index, minlength=len(features)))


def in_few_dimensions(features: PairedFeatures) -> PairedFeatures:
    """Return features with the same distances, in no more dimensions than points, so that resamples take less time.

    Those of many points, which gain little, are returned as they are.
    """
    if 4 * (len(features.output) + len(features.target)) > features.output.shape[1]:
        return features
    points = np.concatenate([features.output, features.target]).astype(np.float64)  # (N + T, D)
    coordinates = np.linalg.qr(points.T).R.T  # (N + T, N + T): in an orthonormal basis of what the points span
    return replace(features, output=coordinates[: len(features)], target=coordinates[len(features) :])


def in_target_balls(features: PairedFeatures, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of target balls that hold each output (N,), and number of outputs in the ball of each target (T,).

    A target's ball reaches to its k-th nearest other target.

    Raises NotScorable where there are not more than k different targets.
    """
    _enough(features, k)
    return hits(features.output, features.target, radii(features.target, k))


def in_output_balls(features: PairedFeatures, k: int) -> np.ndarray:
    """Number of output balls that hold each target (T,).

    An output's ball reaches to its k-th nearest output that was made from another target.

    Raises NotScorable where there are not more than k different targets.
    """
    _enough(features, k)
    return hits(features.target, features.output, radii(features.output, k, features.target_of))[0]


def _enough(features: PairedFeatures, k: int) -> None:
    different = len(features.target)
    if different == 1:
        raise NotScorable("all targets are the same image: a distribution needs two")
    if different <= k:
        raise NotScorable(f"there are {different} different targets: {k} neighbours need more than {k}")
