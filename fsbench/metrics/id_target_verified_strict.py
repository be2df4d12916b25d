"""Whether a strict verification threshold still takes the output for the target."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.id_target_verified import IdTargetVerified
from fsbench.registry import metrics


@metrics.register("id_target_verified_strict")
class IdTargetVerifiedStrict(IdTargetVerified):
    """Share of comparisons with the target person's held-out images that the judge accepts at FAR 0.1 %, in percent.

    Else as `id_target_verified`.
    """

    info = replace(IdTargetVerified.info, summary_rank=0, verification_rank=50)
    far = 1e-3
