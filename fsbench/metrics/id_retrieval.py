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
        embeddings = batch.embeddings
        has_face = ~embeddings.references.isnan().any(1)
        rows, references = embeddings.reference_rows[has_face.cpu().numpy()], embeddings.references[has_face]
        owners, sessions = rows["identity"].to_numpy(), rows["session"].to_numpy()
        people, person_of_image = np.unique(owners, return_inverse=True)
        if len(people) <= self.k:
            raise NotScorable(f"the gallery has {len(people)} people with a face: too few for a top-{self.k}")
        if batch.source.identity not in people:
            return embeddings.output.new_full((len(embeddings.output),), torch.nan)
        source = int(np.flatnonzero(people == batch.source.identity)[0])
        cosines = embeddings.output.nan_to_num() @ references.T  # (N, R)
        hidden = (owners[None, :] == batch.rows["identity"].to_numpy()[:, None]) & (
            sessions[None, :] == batch.rows["session"].to_numpy()[:, None]
        )
        cosines = cosines.masked_fill(torch.from_numpy(hidden).to(cosines.device), -torch.inf)
        nearest = torch.full((len(cosines), len(people)), -torch.inf, dtype=cosines.dtype, device=cosines.device)
        nearest = nearest.scatter_reduce(
            1, torch.from_numpy(person_of_image).to(cosines.device).expand(len(cosines), -1), cosines, "amax"
        )  # (N, P)
        rank = (nearest > nearest[:, source : source + 1]).sum(1)
        output_face, target_face = (~side.isnan().any(1) for side in (embeddings.output, embeddings.target))
        # A person whose images are all of the hidden session cannot be found; a top-k of k people cannot be missed.
        present = nearest > -torch.inf
        scorable = (present.sum(1) > self.k) & present[:, source] & (output_face | target_face)
        return ((rank < self.k) & output_face).to(torch.float32).where(scorable, torch.nan)  # (N,)


@metrics.register("id_retrieval_top5")
class IdRetrievalTop5(IdRetrieval):
    """Share of outputs with the source among the five nearest people of the gallery, in percent.

    Everything else is as in `id_retrieval`.
    """

    info = replace(IdRetrieval.info, summary_rank=0)
    k = 5
