"""Frames that were not swapped."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

UNCHANGED = 3.0
"""Mean absolute difference inside the face, in levels of 255, up to which an output is its target."""


@metrics.register("missed_frames")
class MissedFrames(OfFrames):
    """Share of a clip's frames that show the target's face as it was, in %; 0 swaps every frame.

    A frame counts where the detector found no face to swap, where the model gave no output, and where the output is its
    target: inside the face they differ by 3 levels of 255 or less on average, as one saved again does. A frame that
    passes unswapped is a jump in time, and looks perfect to every other metric of motion. Data sets that cut clips tell
    how many frames these have (`clip_frames`); of others, frames are missing whose numbers are left out. Copying the
    target is at 100.
    """

    info = MetricInfo(
        unit="%",
        direction="lower",
        bounds=(0.0, 100.0),
        needs=("absent",),
        no_face="a target without a face is missed; an output that lost its face is not",
        reference="closed form",
        group="temporal",
        sample="clip",
        measures=("stutter",),
        digits=1,
        summary_rank=67,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        inside = (batch.mask > 0.5).double()
        inside = inside + (inside.sum((1, 2, 3), keepdim=True) == 0)  # without a mask, everywhere
        change = (batch.output - batch.target).abs().mean(1, keepdim=True).double()
        levels = 255 * (change * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))  # (N,)
        swapped = ((levels > UNCHANGED) & ~batch["absent"].bool()).double()
        number = torch.from_numpy(batch.rows["frame"].to_numpy(float, copy=True))
        stands_for = torch.cat([number.diff(), torch.ones(1)])  # those after it that are missing as well
        stands_for *= max(n_frames(batch), float(swapped.sum())) / stands_for.sum()
        return torch.stack([swapped, stands_for], 1)  # (N, 2)

    def clip_row(self, rows: np.ndarray) -> float:
        swapped, frames = map(float, rows.sum(0))
        return max(0.0, 100 * (1 - swapped / frames))


def n_frames(batch: Batch) -> int:
    """Frames of the clip, those without a face among them."""
    stated = batch.rows["clip_frames"].iloc[0] if "clip_frames" in batch.rows else math.nan
    numbers = batch.rows["frame"]
    return int(stated) if math.isfinite(stated) else int(numbers.max() - numbers.min() + 1)
