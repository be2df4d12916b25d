"""Skin colour in the session where it is worst."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._skin import delta_e, skin
from fsbench.metrics.skin_colour import SkinColour
from fsbench.registry import metrics
from fsbench.store import fingerprint


@metrics.register("skin_colour_worst")
class SkinColourWorst:
    """Difference of the mean skin colours of output and target, CIEDE2000, in the target session where it is largest.

    The value is the highest of the sessions' means over outputs of `skin_colour`. A model that learnt colours with its
    people fails where the light differs from that in training, and a mean over sessions hides that. The maximum grows
    with the number of sessions: compare models on the same data only. There is no interval: a resample never has a
    worse session than the data, so that no percentile of resamples covers what the next session would bring.

    `fsbench validate`: the target's skin where the source's should be lowers it more than the largest cast raises it.
    """

    info = replace(SkinColour.info, interval="none", summary_rank=0)

    def measure(self, batch: Batch) -> Tensor:
        """(N, 2): the session as a number, and the difference."""
        sessions = zip(batch.rows["identity"].astype(str), batch.rows["session"].astype(str), strict=True)
        numbers = [float(int(fingerprint(names)[:12], 16)) for names in sessions]  # 48 bits: exact in float64
        difference = delta_e(batch.output, batch.target, skin(batch.mask))
        return torch.stack([torch.tensor(numbers, dtype=torch.float64), difference], 1)

    def summarise(self, rows: np.ndarray) -> float:
        return max(float(rows[rows[:, 0] == session, 1].mean()) for session in np.unique(rows[:, 0]))
