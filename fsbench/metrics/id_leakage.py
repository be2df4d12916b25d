"""Identity of the target that is left in outputs."""

from __future__ import annotations

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, to_source, to_target
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("id_leakage")
class IdLeakage:
    """Cosine to the source minus cosine to the target; below 0 the output is nearer to the target than to the source.

    Both cosines are means over the held-out images of the person, without those of the target image's own session. Blur
    lowers both cosines: the difference, unlike the distance to the target alone, does not reward blur.
    """

    info = identity_info(
        unit="",
        direction="higher",
        bounds=(-2.0, 2.0),
        no_face="not scored, and counted",
        reference="source similarity minus target similarity, as in the identity-leakage ablations of "
        "Shiohara et al., BlendFace, ICCV 2023",
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return to_source(batch) - to_target(batch)  # (N,)
