"""Clips of a pattern that moves evenly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from fsbench.contracts import toy_clip
from fsbench.interfaces import Batch

N, SIZE = 8, 64


def running(right: int, n: int = N, size: int = SIZE) -> torch.Tensor:
    """A pattern that moves to the right by so many pixels a frame, (n, 3, size, size)."""
    coarse = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(coarse, size=(size, 3 * size), mode="bicubic", align_corners=False).clamp(0, 1)[0]
    return torch.stack([wide[:, :, size - right * t : 2 * size - right * t] for t in range(n)])


def clip_of(output: torch.Tensor, target: torch.Tensor, frame: np.ndarray | None = None) -> Batch:
    rows = pd.DataFrame({"frame": np.arange(len(output)) if frame is None else frame})
    return replace(toy_clip(3), rows=rows, output=output, target=target)
