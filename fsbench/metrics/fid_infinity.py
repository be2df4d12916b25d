"""Fréchet Inception distance of infinitely many images."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.metrics._distribution import halves, paired_features
from fsbench.metrics.fid import Fid
from fsbench.registry import metrics
from fsbench.stats.frechet import frechet_infinity


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
    )

    def measure(self, batch: Batch) -> Tensor:
        return paired_features(batch, *self.info.needs)  # (N, 4096)

    def summarise(self, rows: np.ndarray) -> float:
        output, target, _ = halves(rows)
        order = np.argsort(rows.sum(1), kind="stable")  # by content; the sums are rounded in this order too
        try:
            return frechet_infinity(output[order], target[order])
        except ValueError as error:
            raise NotScorable(str(error)) from error
