"""Share of comparisons in which a verification threshold still accepts the output as the target."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, targets
from fsbench.metrics._verification import accepted
from fsbench.registry import metrics
from fsbench.stats.summaries import percentage


@metrics.register("id_target_verified")
class IdTargetVerified:
    """Share of comparisons with the target person's held-out images that the judge accepts at FAR 1 %, in percent.

    It measures how often the target would still be recognised. Strangers get about 1, and `copy_target` is the worst
    case. The threshold is that of `id_verified`. An output whose face is destroyed shows nothing about what a swap
    reveals, and is not scored: it must not look like success.
    """

    far = 1e-2
    info = identity_info(
        unit="%",
        direction="lower",
        bounds=(0.0, 100.0),
        no_face="not scored, and counted",
        reference="as id_verified, against the target",
        digits=1,
        summary_rank=120,
        verification_rank=40,
    )
    summarise = staticmethod(percentage)

    def measure(self, batch: Batch) -> Tensor:
        return accepted(batch, targets(batch), self.far)  # (N,)


@metrics.register("id_target_verified_strict")
class IdTargetVerifiedStrict(IdTargetVerified):
    """Share of comparisons with the target person's held-out images that the judge accepts at FAR 0.1 %, in percent.

    Everything else is as in `id_target_verified`.
    """

    info = replace(IdTargetVerified.info, summary_rank=0, verification_rank=50)
    far = 1e-3
