"""Share of comparisons in which a verification threshold accepts the output as the source."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, sources
from fsbench.metrics._verification import accepted
from fsbench.registry import metrics
from fsbench.stats.summaries import percentage


@metrics.register("id_verified")
class IdVerified:
    """Share of comparisons with the source's held-out images that the judge accepts at FAR 1 %, in percent.

    The threshold is the lowest at which at most one in a hundred pairs of two people among this data set's real images
    is accepted. `exact` is the ceiling, because a judge refuses real pairs as well.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    far = 1e-2
    info = identity_info(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        no_face="counts as not accepted",
        reference="true-accept rate at a false-accept rate: ISO/IEC 19795-1, biometric performance testing",
        digits=1,
        summary_rank=110,
        verification_rank=20,
    )
    summarise = staticmethod(percentage)

    def measure(self, batch: Batch) -> Tensor:
        return accepted(batch, sources(batch), self.far, lost=0.0)  # (N,)


@metrics.register("id_verified_strict")
class IdVerifiedStrict(IdVerified):
    """Share of comparisons with the source's held-out images that the judge accepts at FAR 0.1 %, in percent.

    Everything else is as in `id_verified`.
    """

    info = replace(IdVerified.info, summary_rank=0, verification_rank=30)
    far = 1e-3
