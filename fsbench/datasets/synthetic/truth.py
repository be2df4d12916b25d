"""Everything that is known about one image, drawn again on demand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import HEAD_BOX, Asset
from fsbench.datasets.synthetic.raster import gather, rasterise, weights_at
from fsbench.datasets.synthetic.render import Drawing
from fsbench.datasets.synthetic.scenes import Session, Shot, true_gaze

UV_SIZE = 256
_FACE_BOX = (0.67, 1.0, 0.30, 0.68)
"""u0, u1, v0, v1 of the face in the texture square."""


@dataclass(frozen=True)
class GroundTruth:
    """One image with its exact answers; see `Drawing` for what is known per pixel and point."""

    drawing: Drawing
    session: Session
    shot: Shot
    pose: tuple[float, float, float]  # yaw, pitch, roll in degrees
    expression: dict[str, float]  # coefficients, 0 to 1, those not named being 0
    gaze: tuple[float, float]  # degrees, to the image's right and up, relative to the head
    uv_position: Tensor  # (256, 256, 3) pixels, and depth in decimetres
    uv_valid: Tensor  # (256, 256) bool


class PositionMap:
    """Where each texel of the face's texture lies in an image: a fixed gather (Feng et al., ECCV 2018)."""

    def __init__(self, asset: Asset) -> None:
        head, face = asset.mask_chart.new_tensor(HEAD_BOX), asset.mask_chart.new_tensor(_FACE_BOX)
        across = head[2] + asset.mask_chart[:, 0] * (head[3] - head[2])
        down = head[0] + asset.mask_chart[:, 1] * (head[1] - head[0])
        screen = torch.stack(
            [
                (across - face[2]) / (face[3] - face[2]) * UV_SIZE,
                (down - face[0]) / (face[1] - face[0]) * UV_SIZE,
                torch.zeros_like(across),
            ],
            1,
        )
        numbers = asset.in_chart.nonzero()[:, 0]
        found = rasterise(screen, asset.chart_faces[numbers], UV_SIZE, cull=False)
        self._texels = (found >= 0).nonzero()[:, 0]
        triangle = numbers[found[self._texels]]
        self._corners = asset.faces[triangle]
        self._weights = weights_at(screen, asset.chart_faces[triangle], self._texels, UV_SIZE, perspective=False)

    def __call__(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """(V, 3) -> the map (256, 256, 3), zero where the texture shows no skin, and (256, 256) bool where it does."""
        positions = vertices.new_zeros(UV_SIZE * UV_SIZE, 3)
        positions[self._texels] = gather(vertices, self._corners, self._weights)
        valid = torch.zeros(UV_SIZE * UV_SIZE, dtype=torch.bool, device=vertices.device)
        valid[self._texels] = True
        return positions.view(UV_SIZE, UV_SIZE, 3), valid.view(UV_SIZE, UV_SIZE)


def ground_truth(asset: Asset, drawing: Drawing, session: Session, shot: Shot) -> GroundTruth:
    """Collect what is known about a drawing."""
    position, valid = PositionMap(asset)(drawing.vertices)
    pose = (shot.yaw, shot.pitch, shot.roll)
    right, up = true_gaze(np.array(shot.gaze)).tolist()
    return GroundTruth(drawing, session, shot, pose, dict(shot.actions), (right, up), position, valid)
