"""Identity retrieval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info
from fsbench.registry import metrics
from fsbench.stats.summaries import percentage


@metrics.register("id_retrieval")
class IdRetrieval:
    """Share of outputs whose nearest face in the gallery is the source's, in percent.

    The gallery holds the held-out images of all people that are swapped, and the data set's strangers. The target
    image's own session is left out. A person is as near as the person's nearest image. With few people in the gallery
    the value means little.

    `fsbench validate` (dlib_resnet, synthetic people): blur and noise lower it as much as a face that is the target's.
    """

    k = 1
    info = identity_info(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        no_face="counts as a miss",
        reference="nearest source face by cosine: Li et al., FaceShifter, CVPR 2020, section 4.1; gallery size: see "
        "protocol",
        digits=1,
        summary_rank=30,
    )
    summarise = staticmethod(percentage)

    def measure(self, batch: Batch) -> Tensor:
        embeddings, references = batch.embeddings, batch.embeddings.by_person
        people = references.people
        if len(people) <= self.k:
            raise NotScorable(f"the gallery has {len(people)} people with a face: too few for a top-{self.k}")
        if batch.source.identity not in people:
            return embeddings.output.new_full((len(embeddings.output),), torch.nan)
        source = int(np.searchsorted(people, batch.source.identity))
        identity, session = (batch.rows[name].to_numpy(object) for name in ("identity", "session"))
        nearest = references.nearest(embeddings.output.nan_to_num(), identity, session)  # (N, P)
        rank = (nearest > nearest[:, source : source + 1]).sum(1)
        output_face, target_face = (
            ~side.isnan().any(1).cpu().numpy() for side in (embeddings.output, embeddings.target)
        )
        # A person whose images are all of the hidden session cannot be found; a top-k of k people cannot be missed.
        present = nearest > -np.inf
        scorable = (present.sum(1) > self.k) & present[:, source] & (output_face | target_face)
        hit = (rank < self.k) & output_face
        return torch.from_numpy(np.where(scorable, hit, np.nan).astype(np.float32))  # (N,)


@metrics.register("id_retrieval_top5")
class IdRetrievalTop5(IdRetrieval):
    """Share of outputs with the source among the five nearest people of the gallery, in percent.

    Everything else is as in `id_retrieval`.
    """

    info = replace(IdRetrieval.info, summary_rank=0)
    k = 5
