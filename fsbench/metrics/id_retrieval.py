"""Identity retrieval."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._cosine import judgement
from fsbench.registry import metrics


class _Retrieval:
    """Asks a gallery of people who the output is."""

    k: int

    def measure(self, batch: Batch) -> Tensor:
        view = judgement(batch)
        found = ~view.references.isnan().any(1)
        rows, references = view.reference_rows[found.cpu().numpy()], view.references[found]
        owner, session = rows["identity"].to_numpy(), rows["session"].to_numpy()
        people, index = np.unique(owner, return_inverse=True)
        if len(people) <= self.k:
            raise NotScorable(f"the gallery has {len(people)} people with a face: too few for a top-{self.k}")
        if batch.source.identity not in people:
            return view.output.new_full((len(view.output),), torch.nan)
        source = int(np.flatnonzero(people == batch.source.identity)[0])
        cosine = view.output.nan_to_num() @ references.T  # (N, R)
        hidden = (owner[None, :] == batch.rows["identity"].to_numpy()[:, None]) & (
            session[None, :] == batch.rows["session"].to_numpy()[:, None]
        )
        cosine = cosine.masked_fill(torch.from_numpy(hidden).to(cosine.device), -torch.inf)
        nearest = torch.full((len(cosine), len(people)), -torch.inf, dtype=cosine.dtype, device=cosine.device)
        nearest = nearest.scatter_reduce(
            1, torch.from_numpy(index).to(cosine.device).expand(len(cosine), -1), cosine, "amax"
        )  # (N, P)
        rank = (nearest > nearest[:, source : source + 1]).sum(1)
        seen, losable = (~vectors.isnan().any(1) for vectors in (view.output, view.target))
        # Whoever has images of the hidden session only is not there to be found, and among k people nobody can miss.
        there = nearest > -torch.inf
        meant = (there.sum(1) > self.k) & there[:, source] & (seen | losable)
        return ((rank < self.k) & seen).to(torch.float32).where(meant, torch.nan)  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(100 * rows.mean())


_REFERENCE = "nearest source face by cosine: Li et al., FaceShifter, CVPR 2020, section 4.1; gallery size: see protocol"


@metrics.register("id_retrieval")
class IdRetrieval(_Retrieval):
    """Share of outputs whose nearest face in the gallery is the source's, in percent.

    The gallery holds the held-out images of all people that are swapped and the data set's strangers; the target
    image's own session is left out. A person is as near as their nearest image. With few people in the
    gallery the number means little.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    k = 1
    info = MetricInfo(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="counts as a miss",
        reference=_REFERENCE,
        digits=1,
        summary_rank=30,
    )


@metrics.register("id_retrieval_top5")
class IdRetrievalTop5(_Retrieval):
    """Share of outputs with the source among the five nearest people of the gallery, in percent.

    Else as `id_retrieval`.
    """

    k = 5
    info = MetricInfo(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="counts as a miss",
        reference=_REFERENCE,
        digits=1,
    )
