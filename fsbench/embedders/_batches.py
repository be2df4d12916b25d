"""The loop that embedders share: crops with a face, a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from fsbench.interfaces import Context

Shown = TypeVar("Shown")

BATCH = 32
"""Crops that go through a network at once; more were measured to be no faster on a CPU."""


def in_batches(
    prepare: Callable[[Tensor, Tensor], Shown],
    network: Callable[[Shown], Tensor],
    crops: Tensor,
    landmarks: Tensor,
    dim: int,
    context: Context,
) -> Tensor:
    """(N, 3, S, S) crops and (N, 5, 2) landmarks -> (N, dim) features; NaN where landmarks are NaN.

    `prepare` makes what the network is shown of up to BATCH crops on the device and their landmarks. The network alone
    computes in the precision of `context`.
    """
    device = context.device
    features = torch.full((len(crops), dim), torch.nan, device=device)
    known = torch.isfinite(landmarks).all(2).all(1)
    if not known.all():
        crops, landmarks = crops[known.to(crops.device)], landmarks[known]
    rows = known.nonzero()[:, 0].to(device)
    for start in range(0, len(rows), BATCH):
        batch = slice(start, start + BATCH)
        shown = prepare(crops[batch].to(device), landmarks[batch])
        with context.reduced():
            given = network(shown)
        features[rows[batch]] = given.to(features)
    return features
