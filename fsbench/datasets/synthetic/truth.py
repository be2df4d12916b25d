"""Everything that is known about one image, drawn again on demand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from fsbench.datasets.synthetic.layout import FaceLayout
from fsbench.datasets.synthetic.render import Drawing
from fsbench.datasets.synthetic.scenes import Session, Shot, true_gaze

UV_SIZE = 256
_BEHIND = 0.04  # decimetres that a point may lie behind what its pixel shows and is still seen


@dataclass(frozen=True)
class GroundTruth:
    """One image with its exact answers; see `Drawing` for what is known per pixel and point."""

    drawing: Drawing
    session: Session
    shot: Shot
    pose: tuple[float, float, float]  # yaw, pitch, roll in degrees
    expression: dict[str, float]  # coefficients, 0 to 1, those not named being 0
    gaze: tuple[float, float]  # degrees, to the image's right and up, relative to the head
    uv_position: Tensor  # (256, 256, 3) pixels x, y, z; see `face_points`
    uv_valid: Tensor  # (256, 256) bool, where a texel stands for a point of the face (`FaceLayout`)
    uv_visible: Tensor  # (256, 256) share of a texel that is seen


def face_points(layout: FaceLayout, drawing: Drawing) -> tuple[Tensor, Tensor]:
    """Return x, y, z of a layout's points in the drawing, (P, 3), and whether they are seen, (P,) of 0 and 1.

    All are in pixels of the drawing: x to the right, y down, z towards the camera from the farthest point. A point is
    seen if it lies in the picture and nothing is before it, be it the face itself, hair, glasses or a hand. The middle
    of a membrane is seen as far as its border is.
    """
    x, y, depth = drawing.vertices.unbind(1)
    places = torch.stack([x, y, -depth / drawing.camera.pixel], 1)
    shown, side = drawing.depth, drawing.image.shape[-1]
    shown = torch.where(shown.isinf(), -torch.inf, shown)
    farthest = max_pool2d(shown[None, None], 3, 1, 1)[0, 0]  # of the neighbours: slopes are steep at an outline
    column, row = x.floor().long(), y.floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    before = farthest[row.clamp(0, side - 1), column.clamp(0, side - 1)]
    seen = inside & ((depth <= before + _BEHIND) | before.isinf())
    points = layout.points(places)
    return points - points.new_tensor([0, 0, 1]) * points[:, 2].min(), layout.points(seen[:, None].float())[:, 0]


def ground_truth(layout: FaceLayout, drawing: Drawing, session: Session, shot: Shot) -> GroundTruth:
    """Collect what is known about a drawing."""
    points, seen = face_points(layout, drawing)
    pose = (shot.yaw, shot.pitch, shot.roll)
    right, up = true_gaze(np.array(shot.gaze)).tolist()
    position, visible = layout.map(points), layout.map(seen[:, None])[..., 0]
    return GroundTruth(drawing, session, shot, pose, dict(shot.actions), (right, up), position, layout.valid, visible)
