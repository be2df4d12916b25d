"""Clips whose faces a judge sees turn evenly, by known angles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from fsbench.contracts import toy_clip, with_evidence
from fsbench.interfaces import Batch

N = 6


def turning(degrees: float, n: int = N) -> torch.Tensor:
    """Unit vectors (n, 2), each turned by so much from the one before."""
    angle = torch.arange(n) * math.radians(degrees)
    return torch.stack([angle.cos(), angle.sin()], 1)


def clip_of(output: torch.Tensor, target: torch.Tensor, frame: np.ndarray | None = None) -> Batch:
    batch = toy_clip(3)
    judge = replace(batch.embeddings, output=output, target=target)
    rows = pd.DataFrame({"frame": np.arange(len(output)) if frame is None else frame})
    return replace(with_evidence(batch, judge=judge), rows=rows)


def cosine(degrees: float) -> float:
    return math.cos(math.radians(degrees))
