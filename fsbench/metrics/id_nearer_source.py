"""Share of outputs that are nearer to the source than to the target."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, to_source, to_target
from fsbench.registry import metrics
from fsbench.stats.summaries import percentage


@metrics.register("id_nearer_source")
class IdNearerSource:
    """Share of outputs whose face is nearer to the source than to the target, in percent; 50 is chance.

    Nearer is by the mean cosine to the held-out images of each, as in `id_leakage`. An output is not scored where the
    target person has no held-out image in another session.
    """

    info = identity_info(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        no_face="counts as not nearer",
        reference="sign of id_leakage",
        digits=1,
        summary_rank=20,
        verdict="{value} of its outputs are nearer to the source than to the target",
    )
    summarise = staticmethod(percentage)

    def measure(self, batch: Batch) -> Tensor:
        lead = to_source(batch, lost=-1.0) - to_target(batch, lost=1.0)  # a lost face is nearer to nobody
        return torch.where(lead.isnan(), torch.nan, (lead > 0).to(lead.dtype))  # (N,)
