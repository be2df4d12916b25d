"""Cosines to the people of a data set, shared by the identity metrics.

"The images of a person" are their held-out ones. Those of the target image's own session are left out throughout: an
output keeps the target's scene, and a judge that recognises a scene is not meant to be rewarded for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Judgement


def judgement(batch: Batch) -> Judgement:
    """Return the batch's judgement; raises NotScorable where there is none."""
    if batch.judgement is None:
        raise NotScorable("no judge was asked")
    return batch.judgement


def mean_cosine(batch: Batch, identities: list[str]) -> Tensor:
    """Mean cosine of output i to the held-out images of `identities[i]`, (N,).

    NaN where the output has no face, and where that person has no held-out image with a face in another session.
    """
    view = judgement(batch)
    rows = view.reference_rows
    usable = (rows["split"] == "test").to_numpy() & ~view.references.isnan().any(1).cpu().numpy()
    owner, session = rows["identity"].to_numpy(), rows["session"].to_numpy()
    centres: dict[tuple[str, str], Tensor] = {}
    means = []
    for vector, identity, target, scene in zip(
        view.output, identities, batch.rows["identity"], batch.rows["session"], strict=True
    ):
        own = scene if identity == target else ""  # nobody else has images of that session
        if (identity, own) not in centres:
            chosen = usable & (owner == identity) & (session != own)
            centres[identity, own] = view.references[torch.from_numpy(np.flatnonzero(chosen))].mean(0)  # NaN of none
        means.append(vector @ centres[identity, own])
    return torch.stack(means)


def to_source(batch: Batch) -> Tensor:
    """Mean cosine to the source's held-out images, (N,)."""
    return mean_cosine(batch, [batch.source.identity] * len(batch.rows))


def to_target(batch: Batch) -> Tensor:
    """Mean cosine to the target person's held-out images of other sessions, (N,)."""
    return mean_cosine(batch, [str(name) for name in batch.rows["identity"]])
