"""Pose of outputs against their targets."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._angles import DEGREES, angle_between
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("pose_error")
class PoseError:
    """Mean angle between the head poses of output and target, in degrees; 0 keeps the pose exactly.

    The angle is that of the relative rotation R_output @ R_target.T. Yaw, pitch and roll are not averaged apart,
    because they interact near profile. Pairs with no face in the output, or in the target, are not scored and are
    counted.

    An exact swap is not at 0. The estimator takes a part of a face's shape for a nod: 3.9 degrees of pitch (standard
    deviation) from one synthetic person to the next. Between 60 pairs of people of seed 7 exact swaps are at 5.9,
    between the two people to swap, who were chosen to differ, at 8.3. Two images of one person with unrelated poses are
    at 24. Within one person that part cancels out. A model below `exact` has kept the target's shape: compare with
    `exact`, and with `gt_pose_error`.

    `fsbench validate`: 30 outputs show a turn from 8 degrees on. Identity that is left of the target lowers it by a
    quarter of what a turn by 25 degrees raises it.
    """

    observer = "face_mesh"
    info = MetricInfo(
        unit="degrees",
        direction="lower",
        bounds=DEGREES,
        needs=(observer,),
        stages=("crop", "frame"),
        measures=("pose",),
        checked_by="gt_pose_error",
        no_face="not scored, and counted",
        reference="geodesic distance (Huynh, Metrics for 3D Rotations, JMIV 35, 2009); pose by MediaPipe",
        digits=1,
        summary_rank=50,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        return angle_between(*batch.observed(self.observer, "rotation"))  # (N,)


@metrics.register("pose_error_five")
class PoseErrorFive(PoseError):
    """Mean angle between the head poses of output and target by the detector's five landmarks, in degrees.

    It is like `pose_error`, but needs no further network, and is coarser. Pitch is little better than a guess from five
    points: it is estimated from the nose, and noses differ. Between 60 pairs of synthetic people of seed 7 exact swaps
    are at 9.6, between the two people to swap at 11.5, and two images of one person with unrelated poses at 26. Outputs
    in which no face was found are not scored and are counted.

    `fsbench validate`: identity that is left of the target lowers it by 43 % of what a turn by 25 degrees raises it.
    Compare with `exact`, not with 0.
    """

    observer = "five_points"
    info = replace(
        PoseError.info,
        needs=(observer,),
        checked_by="gt_pose_error_five",
        reference="geodesic distance (Huynh, Metrics for 3D Rotations, JMIV 35, 2009); pose by DeMenthon & Davis, "
        "IJCV 15, 1995, first step",
        digits=0,
        summary_rank=0,
    )
