"""Pose of outputs against their targets, by five landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._distribution import observed
from fsbench.metrics._rotation import angle_between
from fsbench.metrics.pose_error import PoseError
from fsbench.registry import metrics


@metrics.register("pose_error_five")
class PoseErrorFive:
    """Mean angle between the head poses of output and target by the detector's five landmarks, in degrees.

    As `pose_error`, but there without any further network, and coarser: pitch is little better than a guess from five
    points, since it is told by the nose, and noses differ. Between 60 pairs of synthetic people of seed 7 exact swaps
    are at 9.6, between the two people to swap at 11.5, and two images of one person with unrelated poses at 26. Outputs
    in which no face was found are not scored and are counted.

    `fsbench validate`: identity that is left of the target lowers it by 43 % of what a turn by 25 degrees raises it;
    compare with `exact`, not with 0.
    """

    info = replace(
        PoseError.info,
        observer="five_points",
        checked_by="gt_pose_error_five",
        reference="geodesic distance (Huynh, Metrics for 3D Rotations, JMIV 35, 2009); pose by DeMenthon & Davis, "
        "IJCV 15, 1995, first step",
        digits=0,
        summary_rank=0,
    )

    def measure(self, batch: Batch) -> Tensor:
        return angle_between(*observed(batch, "rotation"))  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
