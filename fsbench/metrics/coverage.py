"""Coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._distribution import in_target_balls, paired_features
from fsbench.metrics.density import Density, K
from fsbench.registry import metrics


@metrics.register("coverage")
class Coverage:
    """Share of targets with an output nearby in Inception's feature space: nearer than the fifth nearest other target.

    Copying the target is at 1; independent images of the same distribution, as many as targets, are at 0.97. Outputs
    that lost detail fall out of all balls, so that it is no measure of variety alone. It grows with the number of
    outputs for each target. A target that serves several sources counts once. There is no interval: copies in a
    resample have no distance.
    """

    info = replace(Density.info, bounds=(0.0, 1.0), measures=("diversity", "detail"))

    def measure(self, batch: Batch) -> Tensor:
        return paired_features(batch, *self.info.needs)  # (N, 4096)

    def summarise(self, rows: np.ndarray) -> float:
        _, held = in_target_balls(rows, K)
        return float((held > 0).mean())
