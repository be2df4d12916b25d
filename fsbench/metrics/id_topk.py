"""Overlap of the look-alikes of output and source."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info
from fsbench.metrics._lookalikes import TOP, agreement
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("id_topk")
class IdTopk:
    """Share of the output's five nearest look-alikes that the source's held-out images have as well; 1 is all of them.

    Look-alikes are the people whom the judge's classifier names or, without a classifier, the people of the gallery.
    The share is taken for each held-out image, and the mean over images. The images of one person do not all have the
    same look-alikes: `exact` shows how far they agree.

    `fsbench validate` (dlib_resnet, synthetic people): blur lowers it nearly as much as a face that is the target's.
    """

    info = identity_info(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        no_face="not scored, and counted",
        reference="experiment 13 of the faceswap-GAN notes: top-k look-alikes among VGGFace2's people",
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return agreement(batch, torch.full((TOP, TOP), 1 / TOP, dtype=torch.float64))  # (N,)
