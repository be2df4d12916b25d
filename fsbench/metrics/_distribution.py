"""Features of outputs beside those of their targets, shared by the metrics that compare distributions.

A row is (features of the output | features of its target). The reference set is the targets that were swapped, each
as often as it was swapped. A resample of rows takes an output and its target together. Two rows whose targets have
features that are equal to the last bit were made from one target image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.stats.frechet import FrechetOfFeatures
from fsbench.stats.kernels import Kernel, PairedMmd
from fsbench.stats.neighbours import hits, radii

Statistic = Callable[[np.ndarray], float]
"""(M,) indices of rows, with repeats -> the value."""

FEW_FOR_FRECHET = ((500, "unreliable: fewer than 500 images; read the kernel distance (kid, kid_face)"),)
FEW_FOR_FID = (
    *FEW_FOR_FRECHET,
    (2048, "biased upwards: fewer than 2,048 images, the dimensions of the features; read kid"),
)
FEW_FOR_KERNELS = ((100, "fewer than 100 images: read the interval, not the value"),)
FEW_FOR_NEIGHBOURS = ((1000, "fewer than 1,000 images: neighbours are far, and the value depends on their number"),)
FRECHET_RESAMPLES = 200
"""A resample takes 7 ms for 500 images, 0.2 s for 2,000 and 1.4 s for 5,000, because it changes the covariances."""

PER_THOUSAND = 1000
"""Kernel distances are in thousandths, as papers print them."""


def paired_features(batch: Batch, space: str) -> Tensor:
    """Features of output and target side by side, (N, 2 D).

    `space` is a name in `MetricInfo.needs`: the judge, for its unit vectors, or an observer that gives features. A row
    is NaN where the judge finds no face in one of the two images.
    """
    if space == "judge":
        return torch.cat([batch.embeddings.output, batch.embeddings.target], 1)
    return torch.cat(batch.observed(space, "features"), 1)


def halves(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split (M, 2 D) rows: features of outputs and of targets, (M, D) each, and the number of the target image, (M,).

    Raises NotScorable for features that are not finite.
    """
    if not np.isfinite(rows).all():
        raise NotScorable("features of some images are not finite: the network, or what it was given, is broken")
    middle = rows.shape[1] // 2
    output, target = rows[:, :middle], rows[:, middle:]
    return output, target, content(target)


def content(rows: np.ndarray) -> np.ndarray:
    """Number the different rows of (M, D) from 0, (M,): rows that are equal to the last bit have the same number."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in np.ascontiguousarray(rows)]
    numbers: np.ndarray = np.unique(digests, return_inverse=True)[1]
    return numbers


def frechet(rows: np.ndarray) -> Statistic:
    """Fréchet distance of outputs and targets, for resamples of the rows (M, 2 D).

    Raises NotScorable where all rows share a target.
    """
    output, target, image = halves(rows)
    _enough(image, 1)
    first = np.unique(image, return_index=True)[1]
    distance = FrechetOfFeatures(output, target[first])

    def value(index: np.ndarray) -> float:
        counts = np.bincount(index, minlength=len(rows)).astype(np.float64)
        return distance(counts, np.bincount(image, counts))

    return value


def discrepancy(rows: np.ndarray, kernel: Kernel) -> Statistic:
    """Unbiased MMD^2 of outputs and targets in thousandths, for resamples of the rows (M, 2 D).

    Pairs of rows that share a target are left out of all sums. Raises NotScorable where all rows share a target.
    """
    output, target, image = halves(rows)
    _enough(image, 1)
    estimate = PairedMmd(output, target, kernel, image)

    def value(index: np.ndarray) -> float:
        return PER_THOUSAND * estimate(np.bincount(index, minlength=len(rows)))

    return value


def in_target_balls(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of target balls that hold each output (M,), and number of outputs in the ball of each different target.

    A target's ball reaches to its k-th nearest other target.

    Raises NotScorable where there are not more than k different targets.
    """
    output, target, image = halves(rows)
    _enough(image, k)
    target = target[np.unique(image, return_index=True)[1]]
    return hits(output, target, radii(target, k))


def in_output_balls(rows: np.ndarray, k: int) -> np.ndarray:
    """Number of output balls that hold each different target.

    An output's ball reaches to its k-th nearest output that was made from another target.

    Raises NotScorable where there are not more than k different targets.
    """
    output, target, image = halves(rows)
    _enough(image, k)
    target = target[np.unique(image, return_index=True)[1]]
    return hits(target, output, radii(output, k, image))[0]


def _enough(image: np.ndarray, k: int) -> None:
    different = image.max() + 1
    if different == 1:
        raise NotScorable("all targets are the same image: a distribution needs two")
    if different <= k:
        raise NotScorable(f"there are {different} different targets: {k} neighbours need more than {k}")
