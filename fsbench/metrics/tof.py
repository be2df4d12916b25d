"""tOF: motion of outputs against that of their targets, as video super-resolution measures it."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.images import to_bytes
from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._clips import OfFrames, to_frames
from fsbench.metrics._tecogan import inner, pairs
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("tof")
class Tof(OfFrames):
    """Mean length in pixels of the difference between the optical flows of output and target; 0 moves as the target.

    As published for TecoGAN, to be compared with such numbers: Farneback's flow of OpenCV (pyramid 0.5, 3 levels,
    window 15, 3 iterations, polynomials of 5 pixels and sigma 1.2) of the grey 8-bit images, without the first and last
    two frames of a clip and without a border of 16 pixels or more, the middle being a multiple of 32. A clip has the
    mean over its pairs of consecutive frames. A crop below 48 pixels has no middle, and is not scored.

    Another face has other edges, and another flow: `exact` is not at 0. `jitter` is the measure of what is wrong.
    """

    info = MetricInfo(
        unit="px",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=(),
        no_face="scored like any other",
        reference="Chu et al., Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation, "
        "ACM TOG 39(4), 2020",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("shake", "wobble", "lag", "stutter"),
    )
    summarise = staticmethod(mean)

    def __init__(self) -> None:
        missing = "" if find_spec("cv2") else "it needs OpenCV (pip install opencv-python-headless)"
        self.info = replace(type(self).info, missing=missing)

    def frame_rows(self, batch: Batch) -> Tensor:
        if self.info.missing:
            raise NotScorable(self.info.missing)
        output, target = map(_grey, (batch.output, batch.target))
        first = np.array(pairs(batch), int)
        differences = [
            inner(np.linalg.norm(_flow(output[k], output[k + 1]) - _flow(target[k], target[k + 1]), axis=2)).mean()
            for k in first
        ]
        return to_frames(np.array(differences), first, len(batch.rows))  # (N, 1)


def _grey(images: Tensor) -> list[np.ndarray]:
    import cv2

    return [cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY) for pixels in to_bytes(images)]


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(S, S) uint8 twice -> (S, S, 2) pixels."""
    import cv2

    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)
