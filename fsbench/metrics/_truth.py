"""Pairs of output and exact swap, shared by the ground-truth metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Aspect, Batch

IMAGE: tuple[Aspect, ...] = (
    "identity", "detail", "colour", "blending", "geometry", "expression", "pose", "gaze", "temporal", "diversity"
)  # fmt: skip
"""What a comparison with the exact swap responds to: everything that is wrong with an image."""

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def compare(batch: Batch, score: Score, *, whole_crop: bool) -> Tensor:
    """Apply `score(exact (H, W, 3), output (H, W, 3), where (H, W) bool)` to every sample, (N,); NaN for an empty mask.

    `where` is the face mask, or every pixel of the crop. Raises NotScorable where the data set does not know the exact
    swaps.
    """
    masks = torch.ones_like(batch.mask) if whole_crop else batch.mask
    rows = []
    for exact, output, mask in zip(batch.exact.cpu(), batch.output.cpu(), masks.cpu(), strict=True):
        where = mask[0].numpy() > 0.5
        rows.append(
            score(exact.permute(1, 2, 0).numpy(), output.permute(1, 2, 0).numpy(), where) if where.any() else np.nan
        )
    return torch.tensor(rows, dtype=torch.float64)
