"""Whether a verification threshold still takes the output for the target."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._cosine import targets
from fsbench.metrics._verification import accepted
from fsbench.registry import metrics


@metrics.register("id_target_verified")
class IdTargetVerified:
    """Share of comparisons with the target person's held-out images that the judge accepts at FAR 1 %, in percent.

    How often the target would still be recognised; about 1 is what strangers get, `copy_target` is the worst case. The
    threshold is that of `id_verified`. An output whose face is destroyed says nothing about what a swap gives away, and
    is not scored: it must not look like success.
    """

    far = 1e-2
    info = MetricInfo(
        unit="%",
        direction="lower",
        bounds=(0.0, 100.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="not scored, and counted",
        reference="as id_verified, against the target",
        digits=1,
        summary_rank=120,
        verification_rank=40,
    )

    def measure(self, batch: Batch) -> Tensor:
        return accepted(batch, targets(batch), self.far)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(100 * rows.mean())
