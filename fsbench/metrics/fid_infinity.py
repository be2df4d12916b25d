"""Fréchet Inception distance of infinitely many images."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fsbench.errors import NotScorable
from fsbench.interfaces import PairedFeatures
from fsbench.interfaces.features import row_blocks
from fsbench.metrics._distribution import Statistic
from fsbench.metrics.fid import Fid
from fsbench.registry import metrics
from fsbench.stats.frechet import frechet_infinity

MOST = 10_000
"""Outputs; fifteen distances of so many take two minutes."""


@metrics.register("fid_infinity")
class FidInfinity:
    """`fid` extrapolated to infinitely many images, so that the number of images matters less.

    The value is the intercept of a line in 1 / n through the distances of 15 random subsets of output-target pairs,
    from half of the pairs to all. This removes the first-order bias, but not all bias. Subsets are drawn by the content
    of the features, not by the order of the rows. There is no interval: copies of an image in a resample would bend the
    line.
    """

    info = replace(
        Fid.info,
        bounds=(-math.inf, math.inf),
        reference="Chong & Forsyth, Effectively unbiased FID and Inception Score and where to find them, CVPR 2020",
        cautions=(),
        min_samples=2048,
        interval="none",
        resamples=0,
        max_samples=MOST,
    )
    array = "features"  # (N, 2048)

    def statistic(self, features: PairedFeatures) -> Statistic:
        def value(index: np.ndarray) -> float:
            pairs = (index[block] for block in row_blocks(len(index)))
            sums = [_pairs(features, rows).sum(1, dtype=np.float64) for rows in pairs]
            index = index[np.argsort(np.concatenate(sums), kind="stable")]  # by content, which rounds sums alike too
            try:
                return frechet_infinity(features.output[index], features.target[features.target_of[index]])
            except ValueError as error:
                raise NotScorable(str(error)) from error

        return value


def _pairs(features: PairedFeatures, index: np.ndarray) -> np.ndarray:
    """Features of outputs beside those of their targets, (M, 2 D)."""
    return np.concatenate([features.output[index], features.target[features.target_of[index]]], 1)
