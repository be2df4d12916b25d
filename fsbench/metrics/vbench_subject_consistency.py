"""Subject consistency as VBench defines it."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames, next_to, to_frames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("vbench_subject_consistency")
class VbenchSubjectConsistency(OfFrames):
    """VBench's subject consistency of outputs: cosine of each frame to the one before and to the first; 1 is a still.

    As published, to be compared with such numbers: the mean of max(0, cosine) of the features of a frame to those of
    the frame before it and to those of the clip's first, by DINO's ViT-B/16 of the whole image, averaged over the
    frames of a clip from the second on, then over clips. VBench's own value depends on the number of its processes, and
    weights clips by their frames; this one does not. The motion of the head counts as inconsistency, and the target is
    not looked at: read a value beside that of `copy_target`. `tl_id` and `tg_id` are the measures of what is wrong.
    A frame whose neighbour is missing is left out.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=("dino",),
        no_face="scored like any other",
        reference="Huang et al., VBench, CVPR 2024, subject consistency; features of Caron et al., DINO, ICCV 2021",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("identity", "flicker"),
        digits=4,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        features = batch["dino"].output["class_token"].double()
        later = np.flatnonzero(next_to(batch.rows["frame"].to_numpy(int))) + 1
        cosines = [
            cosine_similarity(features[later], others).clamp(0, 1) for others in (features[later - 1], features[:1])
        ]
        return to_frames((cosines[0] + cosines[1]) / 2, later, len(features))  # (N, 1)
