"""Whether outputs blink when their targets do."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._blendshapes import BLENDSHAPES
from fsbench.metrics._clips import OfFrames
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

CLOSED = 0.25
"""How far the coefficient of closed eyes lies above its median over a clip in frames in which the eyes are closed."""

_EYES = [BLENDSHAPES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


@metrics.register("blink")
class Blink(OfFrames):
    """Agreement of the frames in which the eyes are closed, F1 of output and target, in %; 100 blinks with the target.

    The eyes are closed where the mean of MediaPipe's two coefficients eyeBlink is higher by 0.25 than its median over
    the clip, so that narrow eyes are no blink. Of frames in which both show a face, F1 is 2 b / (o + t): b the frames
    in which both are closed, o those of the output, t those of the target. An output that never blinks has 0, one that
    blinks in half of the frames at the right time 67. A clip whose target never blinks is not scored. The value is the
    mean over clips. Copying the target wins.
    """

    info = MetricInfo(
        unit="%",
        direction="higher",
        bounds=(0.0, 100.0),
        needs=("face_mesh",),
        no_face="the frame is left out",
        reference="F1 (van Rijsbergen, Information Retrieval, 1979); blendshapes of MediaPipe Face Landmarker "
        "(Grishchenko et al., arXiv 2309.05782)",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("expression",),
        digits=0,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        output, target = (
            side[:, _EYES].double().mean(1) for side in batch.observed("face_mesh", "blendshapes")
        )  # (N,)
        seen = ~(output + target).isnan()
        rows = torch.full((len(seen), 2), torch.nan, dtype=torch.float64)
        if seen.any():
            rows[seen] = torch.stack([closed(output[seen]), closed(target[seen])], 1).double()
        return rows  # (N, 2)

    def clip_row(self, rows: np.ndarray) -> float:
        own, wanted = rows[~np.isnan(rows).any(1)].T > 0
        if not wanted.any():
            return math.nan
        return 200 * int((own & wanted).sum()) / int(own.sum() + wanted.sum())


def closed(coefficients: Tensor) -> Tensor:
    """In which frames the eyes are closed, by coefficients (N,) of a clip, (N,) bool."""
    return coefficients > coefficients.median() + CLOSED
