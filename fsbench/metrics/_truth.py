"""The exact swap and the true facts of the target, shared by the ground-truth metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Aspect, Batch

IMAGE: tuple[Aspect, ...] = get_args(Aspect)
"""A comparison with the exact swap responds to everything that is wrong with an image."""

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""(exact (H, W, 3), output (H, W, 3), where (H, W) bool) -> the value of one image."""


def per_image(score: Score, output: Tensor, exact: Tensor, mask: Tensor | None = None) -> Tensor:
    """Apply a score to every pair of (N, 3, H, W) images, (N,) float64.

    `where` is true for the pixels of the (N, 1, H, W) masks above 0.5, and for all pixels without masks. A row is NaN
    where a mask is empty.
    """
    masks = torch.ones_like(output[:, :1]) if mask is None else mask
    rows = []
    for output_image, exact_image, mask_image in zip(output.cpu(), exact.cpu(), masks.cpu(), strict=True):
        where = mask_image[0].numpy() > 0.5
        images = exact_image.permute(1, 2, 0).numpy(), output_image.permute(1, 2, 0).numpy()
        rows.append(score(*images, where) if where.any() else np.nan)
    return torch.tensor(rows, dtype=torch.float64)


def true_values(batch: Batch, columns: tuple[str, ...]) -> Tensor:
    """What the data set knows of the targets and the exact swap keeps, (N, K) float64.

    Raises NotScorable where the data set does not know it. A metric that uses these columns needs `exact` too: for
    photographs, columns of the same name hold estimates.
    """
    if not set(columns) <= set(batch.rows.columns):
        raise NotScorable(f"the data set does not know the true {', '.join(columns)}")
    return torch.tensor(batch.rows[list(columns)].to_numpy(np.float64))
