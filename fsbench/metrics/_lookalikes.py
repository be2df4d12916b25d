"""Agreement of the look-alikes of outputs and of real images, shared by the look-alike metrics."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.metrics._identity import held_out, sources

TOP = 5
"""Look-alikes that count. With no more people than these to name, lists agree whatever the face."""


def agreement(batch: Batch, weights: Tensor) -> Tensor:
    """Weighted agreement of each output's list with those of the source's held-out images, mean over images, (N,).

    `weights[i, j]` of (K, K) is the worth of one person at rank i of the output's list and at rank j of the image's
    list. A row is NaN where the output has no face, and where the source has no image with a face.
    """
    lookalikes, depth = batch.lookalikes, len(weights)
    n_people = len(lookalikes.people)
    if n_people <= TOP:
        raise NotScorable(f"{batch.embeddings.judge} can name {n_people} people: too few for a top-{TOP}")
    rows = torch.full((len(lookalikes.output),), torch.nan, dtype=torch.float64)
    for outputs, images in held_out(batch, sources(batch)):
        person_and_rank = lookalikes.references[torch.from_numpy(images.index), :depth].cpu() * depth + torch.arange(
            depth
        )  # (R, K)
        counts = torch.bincount(person_and_rank.flatten(), minlength=n_people * depth).view(-1, depth)  # (P, K)
        scored = outputs[lookalikes.output[outputs, 0].cpu() >= 0]
        matches = counts[lookalikes.output[scored, :depth].cpu()]  # (n, K, K) rank of the output, rank of the image
        rows[scored] = (matches * weights).sum((1, 2)) / len(images.index)
    return rows
