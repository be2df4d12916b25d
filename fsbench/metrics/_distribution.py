"""Features of outputs beside those of their targets, shared by the metrics that compare distributions.

A row is (features of the output | features of its target): the reference is the targets that were swapped, each as
often as it was, and a resample of rows takes an output and its target together. Two rows whose targets have the same
features to the last bit were made from one target image.
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
"""One takes 7 ms for 500 images, 0.2 s for 2,000 and 1.4 s for 5,000: covariances change with every resample."""

PER_THOUSAND = 1000
"""Kernel distances are given in thousandths, as papers print them."""


def paired_features(batch: Batch, space: str) -> Tensor:
    """Features of output and target side by side, (N, 2 D): the judge's unit vectors, or what an observer gives.

    `space` is a name in `MetricInfo.needs`. A row is NaN where a judge finds no face in either image.
    """
    if space == "judge":
        return torch.cat([batch.embeddings.output, batch.embeddings.target], 1)
    return torch.cat(batch.observed(space, "features"), 1)


def halves(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M, 2 D) -> features of outputs and targets, (M, D) each, and which target each row has, (M,) from 0.

    Raises NotScorable for features that are not finite.
    """
    if not np.isfinite(rows).all():
        raise NotScorable("features of some images are not finite: the network, or what it was given, is broken")
    middle = rows.shape[1] // 2
    output, target = rows[:, :middle], rows[:, middle:]
    return output, target, content(target)


def content(rows: np.ndarray) -> np.ndarray:
    """(M, D) -> a number from 0 for each row, (M,); rows that are equal to the last bit have the same."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in np.ascontiguousarray(rows)]
    found: np.ndarray = np.unique(digests, return_inverse=True)[1]
    return found


def frechet(rows: np.ndarray) -> Statistic:
    """Frechet distance of outputs and targets, for resamples of the rows (M, 2 D).

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

    Pairs of rows that share a target are left out of all sums. Raises NotScorable where all rows do.
    """
    output, target, image = halves(rows)
    _enough(image, 1)
    estimate = PairedMmd(output, target, kernel, image)

    def value(index: np.ndarray) -> float:
        return PER_THOUSAND * estimate(np.bincount(index, minlength=len(rows)))

    return value


def in_target_balls(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """How many targets' balls hold each output (M,), and how many outputs the ball of each different target holds.

    Raises NotScorable where there are not more than k different targets.
    """
    output, target, image = halves(rows)
    _enough(image, k)
    target = target[np.unique(image, return_index=True)[1]]
    return hits(output, target, radii(target, k))


def in_output_balls(rows: np.ndarray, k: int) -> np.ndarray:
    """How many outputs' balls hold each different target; the k neighbours of an output were made from other targets.

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
