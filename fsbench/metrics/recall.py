"""Improved recall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._distribution import in_output_balls, paired_features
from fsbench.metrics.precision import K, Precision
from fsbench.registry import metrics


@metrics.register("recall")
class Recall:
    """Share of targets that lie among the outputs in Inception's feature space: within the reach of one's neighbours.

    An output's ball reaches to its third nearest among those made from other targets. Copying the target is at 1;
    outputs that are all alike have small balls and hold few targets. Scattered outputs have large ones and hold many:
    noise may raise it. It grows with the number of outputs. There is no interval: copies in a resample have no
    distance.

    `fsbench validate` (30 exact swaps of synthetic people, known faults): lost detail lowers it, and that all outputs
    are one and the same does not, so that at this number it is no measure of diversity.
    """

    info = replace(Precision.info, measures=("diversity",))

    def measure(self, batch: Batch) -> Tensor:
        return paired_features(batch, *self.info.needs)  # (N, 4096)

    def summarise(self, rows: np.ndarray) -> float:
        return float((in_output_balls(rows, K) > 0).mean())
