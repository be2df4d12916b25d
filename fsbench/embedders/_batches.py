"""The loop that embedders share: crops with a face, a few at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BATCH = 32
"""Crops that go through a network at once; more were measured to be no faster on a CPU."""


def in_batches(
    extract: Callable[[Tensor, Tensor], Tensor], crops: Tensor, landmarks: Tensor, dim: int, device: torch.device
) -> Tensor:
    """(N, 3, S, S) crops and (N, 5, 2) landmarks -> (N, dim) features; NaN where landmarks are NaN.

    `extract` maps up to BATCH crops on `device`, and their landmarks, to as many features.
    """
    features = torch.full((len(crops), dim), torch.nan, device=device)
    known = torch.isfinite(landmarks).all(2).all(1)
    if not known.all():
        crops, landmarks = crops[known.to(crops.device)], landmarks[known]
    rows = known.nonzero()[:, 0].to(device)
    for start in range(0, len(rows), BATCH):
        batch = slice(start, start + BATCH)
        features[rows[batch]] = extract(crops[batch].to(device), landmarks[batch]).to(features)
    return features
