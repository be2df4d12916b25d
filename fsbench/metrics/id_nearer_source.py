"""How often the swap happened at all."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._cosine import to_source, to_target
from fsbench.registry import metrics


@metrics.register("id_nearer_source")
class IdNearerSource:
    """Share of outputs whose face is nearer to the source than to the target, in percent; 50 is a coin's answer.

    Nearer by the mean cosine to the held-out images of each, as in `id_leakage`. Not scored where the target person has
    no held-out image in another session.
    """

    info = MetricInfo(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="counts as not nearer",
        reference="sign of id_leakage",
        digits=1,
        summary_rank=20,
        verdict="{value} of its outputs are nearer to the source than to the target",
    )

    def measure(self, batch: Batch) -> Tensor:
        lead = to_source(batch, lost=-1.0) - to_target(batch, lost=1.0)  # a lost face is nearer to nobody
        return torch.where(lead.isnan(), torch.nan, (lead > 0).to(lead.dtype))  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(100 * rows.mean())
