"""Batches whose embeddings are unit vectors in the plane, with known cosines."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch

from fsbench.interfaces import Batch, Embeddings, Source
from fsbench.stats.calibration import STEPS, Calibration, PairCosines


def at(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1)


def planar_batch(outputs: torch.Tensor, references: list[tuple[str, str, str, float]]) -> Batch:
    """References are (split, identity, session, degrees); targets are `bob` in session t0."""
    rows = pd.DataFrame([{"split": a, "identity": b, "session": c} for a, b, c, _ in references])
    n, nothing = len(outputs), torch.zeros(len(outputs), 3, 2, 2)
    targets = pd.DataFrame({"identity": ["bob"] * n, "session": ["t0"] * n})
    view = Embeddings("toy", outputs, outputs.nan_to_num(), at(*(r[3] for r in references)), rows)
    return Batch(Source("ann", nothing), targets, nothing, nothing, nothing[:, :1], {"judge": view})


PEOPLE = [
    ("test", "ann", "s0", 0.0),
    ("test", "ann", "s1", 60.0),
    ("test", "bob", "t0", 90.0),
    ("test", "bob", "t1", 180.0),
    ("gallery", "cat", "g0", 270.0),
]


def even_calibration(n_impostor: int = 100_000) -> Calibration:
    """Impostors spread evenly over [0, 1): FAR(c) = 1 - c at multiples of 0.001; just above 0.989 it is 1 %."""
    counts = np.zeros(2 * STEPS + 2, np.int64)
    counts[STEPS : 2 * STEPS : 10] = n_impostor // 1000
    return Calibration(99, 99, 99.0, PairCosines(counts, 0.5, 0.1), PairCosines(counts, 0.5, 0.1))


def cosines(*values: float) -> torch.Tensor:
    """Unit vectors that have these cosines to (1, 0)."""
    return torch.tensor([[value, math.sqrt(1 - value**2)] for value in values], dtype=torch.float64)


def mirrored(*values: float) -> torch.Tensor:
    return cosines(*values) * torch.tensor([1.0, -1.0])


LOST = torch.full((1, 2), torch.nan, dtype=torch.float64)
ROWS = [
    ("test", "ann", "s0"),
    ("test", "ann", "s1"),
    ("test", "bob", "t0"),
    ("test", "bob", "t1"),
    ("gallery", "ann", "g0"),
]


def calibrated_batch(output: torch.Tensor, references: torch.Tensor, calibration: Calibration | None) -> Batch:
    """Outputs of ann's face in images of bob's session t0; references in the order of ROWS."""
    nothing = torch.zeros(len(output), 3, 2, 2)
    targets = pd.DataFrame({"identity": ["bob"] * len(output), "session": ["t0"] * len(output)})
    rows = pd.DataFrame(ROWS, columns=["split", "identity", "session"])
    view = Embeddings("toy", output, output.nan_to_num(), references, rows, calibration=calibration)
    return Batch(Source("ann", nothing), targets, nothing, nothing, nothing[:, :1], {"judge": view})


ONE = cosines(1, 1, 1, 1, 1)  # everybody's references at the same place: only cosines to (1, 0) matter
AROUND = torch.cat([cosines(0.9980, 0.9981, 0.9891, 0.9890, 0.5), LOST])
