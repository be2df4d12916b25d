"""Whether a strict verification threshold takes the output for the source."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.id_verified import IdVerified
from fsbench.registry import metrics


@metrics.register("id_verified_strict")
class IdVerifiedStrict(IdVerified):
    """Share of comparisons with the source's held-out images that the judge accepts at FAR 0.1 %, in percent.

    Else as `id_verified`.
    """

    info = replace(IdVerified.info, summary_rank=0, verification_rank=30)
    far = 1e-3
