"""How much of the target's identity is left."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._cosine import to_source, to_target
from fsbench.registry import metrics


@metrics.register("id_leakage")
class IdLeakage:
    """Cosine to the source minus cosine to the target, both to held-out images; below 0 the target still shows through.

    Means over all held-out images of either person, but for those of the target image's own session. Blur lowers both
    cosines, so this difference, unlike the distance to the target alone, does not reward it.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(-2.0, 2.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="not scored, and counted",
        reference="source similarity minus target similarity, as in the identity-leakage ablations of "
        "Shiohara et al., BlendFace, ICCV 2023",
    )

    def measure(self, batch: Batch) -> Tensor:
        return to_source(batch) - to_target(batch)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
