"""The evidence `recursion`: what a model makes of its own outputs, pass after pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.images import ImageSet
from fsbench.interfaces import Context, EvidenceOf, Passes
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence

PASSES = (1, 2, 10, 50)
"""Numbers of passes that are measured, as in experiment 7 of the faceswap-GAN notes; 1 is an output."""

FED_BACK = 8
"""Outputs of a model that are fed back, evenly chosen over sources and sessions."""

PATIENCE = 600.0
"""Seconds above which outputs are fed back only where the user names a metric that needs it."""


@dataclass(frozen=True)
class FedBack:
    """Some outputs of a model after several passes."""

    rows: np.ndarray  # (K,) which outputs were fed back, in the order of the pairs
    images: Mapping[int, ImageSet]  # by number of passes, 1 being the outputs; (K, 3, S, S) each

    def __getitem__(self, rows: slice) -> Passes:
        """Images of outputs `rows`; NaN for those that were not fed back."""
        here = np.flatnonzero((self.rows >= rows.start) & (self.rows < rows.stop))
        passes: dict[int, Tensor] = {}
        for n, images in self.images.items():
            passes[n] = torch.full((rows.stop - rows.start, *images[0].shape), torch.nan)
            passes[n][self.rows[here] - rows.start] = images[here]
        return Passes(passes)


@evidence.register("recursion")
class Recursion:
    """Images of some outputs after 1, 2, 10 and 50 passes through their model, as `Passes`."""

    def __init__(self, *, context: Context) -> None:
        self._context = context

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Choose the pairs whose outputs are fed back."""
        rows = choose(evaluation.pairs.rows)
        pairs = evaluation.pairs.take(rows)
        n_swaps = len(rows) * (PASSES[-1] - PASSES[0])

        def of(outputs: Outputs) -> FedBack:
            if isinstance(outputs.feed, str):
                raise NotScorable(outputs.feed)
            if (expected := outputs.seconds * n_swaps) > PATIENCE and not evaluation.named:
                raise NotScorable(
                    f"{n_swaps} swaps would take about {expected / 60:.0f} minutes, and are done only where --metrics "
                    "names it"
                )
            progress = self._context.stage(f"feeding back: {outputs.label}")
            images, swapped = {PASSES[0]: outputs.images.select(rows)}, 0

            def done(n: int) -> None:
                nonlocal swapped
                swapped += n
                progress(swapped, n_swaps, {})

            for before, n in pairwise(PASSES):
                parts = []
                for group, part in zip(pairs.groups, pairs.by_group(images[before]), strict=True):
                    parts.append(outputs.feed(group, part, n - before, done))
                images[n] = ImageSet.join(parts)
            return FedBack(rows, images)

        return of


def choose(rows: pd.DataFrame) -> np.ndarray:
    """Which of the pairs with these rows are fed back, at most FED_BACK, in their order.

    Sessions of a source lie side by side on a line and have the same length, however many pairs they have; the pairs
    nearest to evenly spaced points are taken.
    """
    sessions = rows.groupby(["source", "identity", "session"], sort=False)
    size = sessions["id"].transform("size")
    place = (sessions.ngroup() + (sessions.cumcount() + 0.5) / size).to_numpy()
    points = (np.arange(FED_BACK) + 0.5) * sessions.ngroups / FED_BACK
    return np.unique(np.abs(place - points[:, None]).argmin(1))
