"""Improved precision."""

from __future__ import annotations

from fsbench.interfaces import MetricInfo, PairedFeatures
from fsbench.metrics._distribution import (
    FEW_FOR_NEIGHBOURS,
    MOST_FOR_NEIGHBOURS,
    Statistic,
    in_few_dimensions,
    in_target_balls,
)
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
        max_samples=MOST_FOR_NEIGHBOURS,
        interval="none",
    )
    array = "features"  # (N, 2048)

    def statistic(self, features: PairedFeatures) -> Statistic:
        near = in_few_dimensions(features)
        return lambda index: self.of_neighbours(near.take(index))

    def of_neighbours(self, features: PairedFeatures) -> float:
        """The value of some features, none of them twice."""
        balls, _ = in_target_balls(features, K)
        return float((balls > 0).mean())
