"""False-accept rate of the threshold that an output would pass."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, sources
from fsbench.metrics._verification import false_accepts
from fsbench.registry import metrics


@metrics.register("id_equivalent_far")
class IdEquivalentFar:
    """False-accept rate at which the outputs would pass as the source, in percent; 50 is what a stranger's face gets.

    A rate is the share of pairs of two people among the real images that are at least as similar as the output and a
    held-out image of the source. Rates are averaged over those images; the value is the median over outputs. Unlike a
    cosine it means the same under every judge. 0 is less than one pair in all that there are.

    `fsbench validate` (dlib_resnet, synthetic people): blur raises it as much as a face that is the target's.
    """

    info = identity_info(
        unit="%",
        direction="lower",
        bounds=(0.0, 100.0),
        no_face="counts as 100 %",
        reference="empirical impostor distribution at the output's cosine: see stats/calibration.py",
        digits=2,
        summary_rank=130,
        verification_rank=10,
    )

    def measure(self, batch: Batch) -> Tensor:
        return false_accepts(batch, sources(batch), lost=1.0)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(100 * np.median(rows))
