"""Whether output and source look like the same people."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._lookalikes import TOP, agreement
from fsbench.registry import metrics


@metrics.register("id_topk")
class IdTopk:
    """Share of the output's five nearest look-alikes that a held-out image of the source has as well; mean over images.

    Look-alikes are the people whom the judge's classifier names or, without one, the people of the gallery.
    The images of one person do not agree on theirs: `exact` shows how far they do.

    `fsbench validate` (dlib_resnet, synthetic people): blur lowers it nearly as much as a face that is the target's.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="not scored, and counted",
        reference="experiment 13 of the faceswap-GAN notes: top-k look-alikes among VGGFace2's people",
    )

    def measure(self, batch: Batch) -> Tensor:
        return agreement(batch, torch.full((TOP, TOP), 1 / TOP, dtype=torch.float64))  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
