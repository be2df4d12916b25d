"""Improved recall."""

from __future__ import annotations

from dataclasses import replace

from fsbench.interfaces import PairedFeatures
from fsbench.metrics._distribution import in_output_balls
from fsbench.metrics.precision import K, Precision
from fsbench.registry import metrics


@metrics.register("recall")
class Recall(Precision):
    """Share of targets that lie near an output in Inception's feature space; 1 is all of them.

    A target is near an output where it is inside the output's ball, which reaches to the third nearest output that was
    made from another target. Copying the target is at 1. Outputs that are all alike have small balls, which hold few
    targets. Scattered outputs have large balls, which hold many: noise may raise the value. It grows with the number of
    outputs. There is no interval: copies in a resample have no distance.

    `fsbench validate` (30 exact swaps of synthetic people, known faults): lost detail lowers it. Outputs that are all
    one and the same do not lower it: at this number of outputs it does not measure diversity.
    """

    info = replace(Precision.info, measures=("diversity",))

    def of_neighbours(self, features: PairedFeatures) -> float:
        return float((in_output_balls(features, K) > 0).mean())
