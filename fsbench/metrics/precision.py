"""Improved precision."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._distribution import FEW_FOR_NEIGHBOURS, in_target_balls, paired_features
from fsbench.registry import metrics

K = 3


@metrics.register("precision")
class Precision:
    """Share of outputs that lie near a target in Inception's feature space; 1 is all of them.

    An output is near a target where it is inside the target's ball, which reaches to the third nearest other target. A
    target that serves several sources counts once. Copying the target is at 1. One target far from all others has a
    ball that holds nearly everything; `density` is less sensitive to this. The value grows with the number of targets.
    There is no interval: copies in a resample have no distance.

    `fsbench validate` (30 exact swaps of synthetic people, known faults): it responds to lost detail and noise. It is
    blind to casts of colour, seams, shifts and scale.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=("inception",),
        no_face="scored like any other",
        reference="Kynkäänniemi et al., Improved precision and recall metric, NeurIPS 2019, section 2; k = 3",
        group="realism",
        measures=("detail", "colour", "blending", "geometry"),
        cautions=FEW_FOR_NEIGHBOURS,
        min_samples=K + 1,
        interval="none",
    )

    def measure(self, batch: Batch) -> Tensor:
        return paired_features(batch, *self.info.needs)  # (N, 4096)

    def summarise(self, rows: np.ndarray) -> float:
        balls, _ = in_target_balls(rows, K)
        return float((balls > 0).mean())
