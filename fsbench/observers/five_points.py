"""The detector's five landmarks, and the pose of the head that they show."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fsbench.faces.pose import VERSION, pose
from fsbench.interfaces import ObserverInfo
from fsbench.registry import observers


@observers.register("five_points")
class FivePoints:
    """The face detector's five landmarks and the head's rotation estimated from them; needs no further file.

    The arrays are:
    "landmarks" (N, 5, 2): pixels of the crop, as they were detected.
    "rotation" (N, 3, 3): from the head to the image, x to the image's right, y up, z towards the camera: roll, then
    pitch, then yaw, as in the synthetic data set.
    Rows are NaN where no face was detected. `fsbench.faces.pose` documents the error: the estimate sorts images by yaw,
    and pitch is a guess.
    """

    def __init__(self) -> None:
        self.info = ObserverInfo((), f"the detector's five landmarks; pose by a rigid mean face ({VERSION})")

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops, which are not used, and (N, 5, 2) landmarks -> "landmarks", "rotation"."""
        from scipy.spatial.transform import Rotation

        angles = pose(landmarks.cpu().numpy())  # (N, 3) yaw, pitch, roll
        rotation = torch.full((len(angles), 3, 3), torch.nan)
        detected = torch.from_numpy(angles).isfinite().all(1)
        if detected.any():
            matrices = Rotation.from_euler("YXZ", angles[detected.numpy()], degrees=True).as_matrix()
            rotation[detected] = torch.from_numpy(matrices).float()
        return {"landmarks": landmarks.float(), "rotation": rotation.to(landmarks.device)}
