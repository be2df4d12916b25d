"""Batches with made-up arrays of observers, of targets whose pose, gaze and expression are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.datasets.synthetic.geometry import rotation
from fsbench.interfaces import Batch, Observed

N = 6
BATCH = contracts.toy_batch(N)
POSES = np.array([(0, 0, 0), (30, -10, 5), (-40, 15, -12), (10, 18, 0), (-5, -3, 30), (60, 0, 0)], float)
KNOWN = pd.DataFrame(POSES, columns=["yaw", "pitch", "roll"]).assign(
    gaze_x=[0.0, 3, -9, 5, 2, -1],
    gaze_y=[0.0, -2, 1, 4, 0, 3],
    mouth_open=[0.0, 0.5, 0.2, 0.9, 0.1, 0.0],
    smile=[0.3, 0.0, 0.8, 0.1, 0.0, 1.0],
    blink=[0.0, 0.0, 1.0, 0.2, 0.0, 0.0],
)


def observed_batch(output: dict[str, Tensor], target: dict[str, Tensor] | None = None) -> Batch:
    rows = pd.concat([BATCH.rows[["id", "identity", "session", "clip", "frame"]].reset_index(drop=True), KNOWN], axis=1)
    return replace(
        BATCH,
        rows=rows,
        evidence={
            **BATCH.evidence,
            **{
                name: Observed(name, output, output if target is None else target)
                for name in ("face_mesh", "five_points")
            },
        },
    )


def about_z(degrees: float) -> Tensor:
    return torch.from_numpy(rotation(0, 0, degrees))
