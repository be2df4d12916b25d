"""Gaze of outputs against the true gaze."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._angles import angle_between_gazes
from fsbench.metrics._truth import true_values
from fsbench.metrics.gaze_error import GazeError
from fsbench.registry import metrics


@metrics.register("gt_gaze_error")
class GtGazeError(GazeError):
    """Mean angle between the output's estimated gaze and its target's true one, relative to the head, in degrees.

    The exact swap keeps the target's gaze. For the unchanged targets the value is the estimator's error: mean 4.3,
    median 4.0 on the test images of the two synthetic people to swap, 2.5 aside (correlation 0.80) and 3.0 up and down
    (0.04). Exact swaps are at 4.7 and 3.3, by source. Most of these eyes look ahead: an estimate of straight ahead for
    all of them would err by 3.2. The metric therefore measures a gaze that is lost or turned far, not small errors.

    `fsbench validate`: it falls as blinks are lost, because the gaze of shut eyes cannot be estimated.
    """

    info = replace(
        GazeError.info,
        needs=("face_mesh", "exact"),
        group="truth",
        stages=("crop",),
        reference="closed form; irises by MediaPipe (Ablavatski et al., arXiv 2006.11341); truth by drawing",
    )

    def measure(self, batch: Batch) -> Tensor:
        true_gaze = true_values(batch, ("gaze_x", "gaze_y"))
        return angle_between_gazes(batch.observed("face_mesh", "gaze")[0].cpu(), true_gaze)  # (N,)
