"""Frames with several people in which the wrong one was swapped."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames, to_frames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

CHANGED = 3.0
"""Levels of 255 by which a face is changed, on average, that was swapped."""


@metrics.register("wrong_face_rate")
class WrongFaceRate(OfFrames):
    """Share of the frames with several people in which another face than the clip's was swapped, in %; 0 errs never.

    The face that was swapped is the one that the paste changed most, by 3 levels of 255 or more. The clip's person is
    the one whom most of the swapped faces show, by the recogniser dlib_resnet: the face in view that is most like their
    mean is the right one. So a tracker that jumps to somebody else now and then is told; one that does so in half of
    the frames is not, nor who was meant at all. Frames with one face, and those in which nothing was swapped, do not
    count (see `missed_frames`). A clip that never shows two faces is not scored. Copying the target cannot be scored.
    """

    info = MetricInfo(
        unit="%",
        direction="lower",
        bounds=(0.0, 100.0),
        needs=("faces_in_frame",),
        no_face="scored like any other",
        reference="closed form; people by dlib_resnet (King, dlib, 2017)",
        group="temporal",
        sample="clip",
        stages=("frame",),
        measures=("identity",),
        digits=1,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        faces = batch["faces_in_frame"]
        features, changes = (
            faces.features.double().cpu(),
            faces.changes.double().cpu().nan_to_num(0),
        )  # (N, F, D), (N, F)
        seen = ~features.isnan().any(2)  # (N, F)
        counted = (seen.sum(1) > 1) & (changes.where(seen, torch.zeros(())).amax(1) >= CHANGED)
        if not counted.any():
            return to_frames(torch.empty(0), counted, len(counted))
        features, seen, changes = features[counted], seen[counted], changes[counted]
        swapped = changes.masked_fill(~seen, -1).argmax(1)  # (M,)
        person = features[torch.arange(len(swapped)), swapped].mean(0)  # (D,)
        right = (features @ person).masked_fill(~seen, -math.inf).argmax(1)
        return to_frames(100 * (right != swapped).double(), counted, len(counted))  # (N, 1)
