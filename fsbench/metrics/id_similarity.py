"""Identity similarity."""

from __future__ import annotations

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info, to_source
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("id_similarity")
class IdSimilarity:
    """Mean cosine between the output's face and the source's held-out images; 1 is the same vector.

    The scale is the judge's own: two strangers are at about 0.85 under dlib's network and near 0 under ArcFace. Read
    the value beside those of `copy_target` (nothing swapped) and `exact` (the ceiling), never across judges.

    `fsbench validate` (dlib_resnet, synthetic people): colour, seams, pose, expression and gaze do not move it. Blur
    and noise lower it as much as a face that is wholly the target's: a low value may mean a poor image.
    """

    info = identity_info(
        unit="",
        direction="higher",
        bounds=(-1.0, 1.0),
        no_face="not scored, and counted",
        reference="experiment 13 of the faceswap-GAN notes; Deng et al., ArcFace, CVPR 2019, for cosine scores",
        headline=True,
        summary_rank=10,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return to_source(batch)  # (N,)
