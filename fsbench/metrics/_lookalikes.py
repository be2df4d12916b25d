"""The people that a judge takes faces for, shared by the look-alike metrics."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.metrics._cosine import held_out, sources

TOP = 5
"""Look-alikes that count; where no more people can be named than these, they agree whatever the face."""


def agreement(batch: Batch, weights: Tensor) -> Tensor:
    """Weighed agreement of each output's list with those of the source's held-out images, mean over them, (N,).

    `weights` (K, K) says what it is worth that one person stands at rank i of the output's list and at rank j of the
    other. NaN where the output has no face and where the source has no image with one.
    """
    seen, depth = batch.lookalikes, len(weights)
    if len(seen.people) <= TOP:
        raise NotScorable(f"{batch.embeddings.judge} can name {len(seen.people)} people: too few for a top-{TOP}")
    rows = torch.full((len(seen.output),), torch.nan, dtype=torch.float64)
    for outputs, images in held_out(batch, sources(batch)):
        theirs = seen.references[images, :depth].cpu() * depth + torch.arange(depth)  # (R, K) person and rank as one
        counts = torch.bincount(theirs.flatten(), minlength=len(seen.people) * depth).view(-1, depth)  # (P, K)
        found = outputs[seen.output[outputs, 0].cpu() >= 0]
        matches = counts[seen.output[found, :depth].cpu()]  # (n, K, K) rank of the output's list, rank of theirs
        rows[found] = (matches * weights).sum((1, 2)) / len(images)
    return rows
