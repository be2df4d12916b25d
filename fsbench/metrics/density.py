"""Density."""

from __future__ import annotations

import math
from dataclasses import replace

from fsbench.interfaces import PairedFeatures
from fsbench.metrics._distribution import in_target_balls
from fsbench.metrics.precision import Precision
from fsbench.registry import metrics

K = 5


@metrics.register("density")
class Density(Precision):
    """Density of outputs around targets in Inception's feature space; 1 for outputs of the same distribution.

    The value is the mean number of targets whose ball holds an output, over k = 5, the neighbour to which a ball
    reaches. It counts balls, unlike `precision`: one far target has little weight. Outputs that crowd into the middle
    are above 1, which is no merit: read it beside `coverage`. Copying the target is at 1. A target that serves several
    sources counts once. There is no interval: copies in a resample have no distance.

    `fsbench validate` (30 exact swaps of synthetic people, known faults): it responds to lost detail and noise. It is
    blind to casts of colour, seams, shifts and scale. From 7 outputs it is nearly three times as large as from 30.
    """

    info = replace(
        Precision.info,
        bounds=(0.0, math.inf),
        reference="Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML 2020, section 3; "
        "k = 5",
        min_samples=K + 1,
    )

    def of_neighbours(self, features: PairedFeatures) -> float:
        balls, _ = in_target_balls(features, K)
        return float(balls.mean() / K)
