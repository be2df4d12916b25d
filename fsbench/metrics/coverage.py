"""Coverage."""

from __future__ import annotations

from dataclasses import replace

from fsbench.interfaces import PairedFeatures
from fsbench.metrics._distribution import in_target_balls
from fsbench.metrics.density import Density, K
from fsbench.registry import metrics


@metrics.register("coverage")
class Coverage(Density):
    """Share of targets with an output nearby in Inception's feature space; 1 is all of them.

    An output is nearby where it is nearer than the fifth nearest other target. Copying the target is at 1. Independent
    images of the same distribution, as many as targets, are at 0.97. Outputs that lost detail lie in no ball: the value
    does not measure variety alone. It grows with the number of outputs for each target. A target that serves several
    sources counts once. There is no interval: copies in a resample have no distance.
    """

    info = replace(Density.info, bounds=(0.0, 1.0), measures=("diversity", "detail"))

    def of_neighbours(self, features: PairedFeatures) -> float:
        _, outputs = in_target_balls(features, K)
        return float((outputs > 0).mean())
