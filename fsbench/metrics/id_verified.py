"""Whether a verification threshold takes the output for the source."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._cosine import sources
from fsbench.metrics._verification import accepted
from fsbench.registry import metrics


@metrics.register("id_verified")
class IdVerified:
    """Share of comparisons with the source's held-out images that the judge accepts at FAR 1 %, in percent.

    The threshold is the lowest at which at most one in a hundred pairs of two people among this data set's real images
    is accepted. `exact` is the ceiling: a judge refuses real pairs as well.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    far = 1e-2
    info = MetricInfo(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="counts as not accepted",
        reference="true-accept rate at a false-accept rate: ISO/IEC 19795-1, biometric performance testing",
        digits=1,
        summary_rank=110,
        verification_rank=20,
    )

    def measure(self, batch: Batch) -> Tensor:
        return accepted(batch, sources(batch), self.far, lost=0.0)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(100 * rows.mean())
