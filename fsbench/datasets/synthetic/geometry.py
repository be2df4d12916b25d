"""From people and shots to posed meshes, the camera, and the crop that is folded into it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import PIVOT
from fsbench.datasets.synthetic.scenes import Session, Shot
from fsbench.faces.align import TEMPLATE, similarity

HEAD_HEIGHT = 2.3  # decimetres: what `Session.scale` is a share of
_CAMERA_CENTRE = (0.0, -0.1, 0.0)

LANDMARKS_68 = (
    5564,
    5763,
    5097,
    912,
    895,
    892,
    917,
    918,
    5296,
    7620,
    7619,
    7594,
    7597,
    7614,
    11712,
    12360,
    12161,
    719,
    232,
    224,
    223,
    208,
    6983,
    6997,
    6998,
    7005,
    7442,
    132,
    131,
    201,
    5054,
    286,
    314,
    343,
    7077,
    7055,
    1090,
    1081,
    1099,
    1104,
    1096,
    1094,
    7796,
    7791,
    7773,
    7782,
    7786,
    7788,
    3735,
    5354,
    450,
    455,
    7210,
    11956,
    10402,
    7235,
    7241,
    492,
    486,
    480,
    435,
    515,
    520,
    7262,
    7191,
    7265,
    540,
    518,
)
"""Vertices of the base mesh at the 68 points of the iBUG scheme, image-left first."""


def five_points(landmarks: Tensor) -> Tensor:
    """(68, D) landmarks -> (5, D) eye centres, nose tip, mouth corners, image-left first."""
    eyes = (landmarks[36:42].mean(0), landmarks[42:48].mean(0))
    return torch.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the (3, 3) rotation of a head: roll, then pitch, then yaw, in degrees."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    turned: np.ndarray = about_y @ about_x @ about_z
    return turned


@dataclass(frozen=True)
class Pose:
    """The turn of a head and of the body below it, about the neck, and how far the head is then moved."""

    head: Tensor  # (3, 3)
    body: Tensor  # (3, 3)
    pivot: Tensor  # (3,)
    shift: Tensor  # (3,) of the head

    @classmethod
    def of(cls, shot: Shot, like: Tensor) -> Pose:
        return cls(
            like.new_tensor(rotation(shot.yaw, shot.pitch, shot.roll)),
            like.new_tensor(rotation(shot.body_yaw, 0, 0)),
            like.new_tensor(PIVOT),
            like.new_zeros(3),
        )

    def apply(self, points: Tensor, head_weight: Tensor) -> Tensor:
        """(V, 3) points at rest -> posed; `head_weight` (V, 1) tells how far each follows the head."""
        away = points - self.pivot
        turned = torch.lerp(away @ self.body.T, away @ self.head.T, head_weight)
        return turned + self.pivot + head_weight * self.shift

    def turn(self, vectors: Tensor, head_weight: Tensor) -> Tensor:
        """The same for directions."""
        turned = torch.lerp(vectors @ self.body.T, vectors @ self.head.T, head_weight)
        return torch.nn.functional.normalize(turned, dim=1)


@dataclass(frozen=True)
class Camera:
    """A pinhole on the z axis, and the image-plane transform that follows it."""

    focal: float  # in half frames
    distance: float  # decimetres
    offset: tuple[float, float]  # half frames
    plane: np.ndarray  # (2, 3) half frames (y down) -> pixels

    @property
    def eye(self) -> tuple[float, float, float]:
        """Where the pinhole is."""
        x, y, z = _CAMERA_CENTRE
        return x, y, z + self.distance

    @property
    def pixel(self) -> float:
        """Decimetres that a pixel covers at the head."""
        return self.distance / self.focal / math.sqrt(abs(np.linalg.det(self.plane[:, :2])))

    def frame_points(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(V, 3) -> half frames, y down (V, 2), and distance along the axis (V,)."""
        away = points - points.new_tensor(_CAMERA_CENTRE)
        depth = self.distance - away[:, 2]
        flat = self.focal * away[:, :2] / depth[:, None] + away.new_tensor(self.offset)
        return flat * flat.new_tensor([1.0, -1.0]), depth

    def project(self, points: Tensor) -> Tensor:
        """(V, 3) -> pixels and inverse depth (V, 3)."""
        flat, depth = self.frame_points(points)
        plane = flat.new_tensor(self.plane)
        return torch.cat([flat @ plane[:, :2].T + plane[:, 2], 1 / depth[:, None]], 1)

    def to_frame(self, pixels: Tensor) -> Tensor:
        """(P, 2) pixels -> half frames, y down."""
        plane = pixels.new_tensor(self.plane)
        inverse: Tensor = torch.linalg.inv(plane[:, :2])
        return (pixels - plane[:, 2]) @ inverse.T

    def scaled(self, factor: float) -> Camera:
        """The same view with `factor` times as many pixels a side."""
        return Camera(self.focal, self.distance, self.offset, self.plane * factor)

    def moved(self, pixels: int) -> Camera:
        """The same view, so many pixels farther to the right and down."""
        return Camera(self.focal, self.distance, self.offset, self.plane + np.array([[0, 0, pixels], [0, 0, pixels]]))


def frame_camera(session: Session, size: int) -> Camera:
    """The session's camera: the whole frame in size x size pixels."""
    focal = 1 / math.tan(math.radians(session.field_of_view) / 2)
    return Camera(
        focal,
        focal * HEAD_HEIGHT / 2 / session.scale,
        session.offset,
        np.array([[size / 2, 0, size / 2], [0, size / 2, size / 2]]),
    )


def crop_camera(camera: Camera, points: Tensor, size: int, shot: Shot, jitter: float) -> Camera:
    """Fold an alignment into a camera: the five points (5, 3) fall on the template of a size x size crop.

    `jitter` is the spread of a detector's mistakes as a share of the crop, drawn from the shot's seed.
    """
    flat, _ = camera.frame_points(points)
    plane = similarity(flat.double().cpu().numpy(), TEMPLATE * size)
    rng = np.random.default_rng([shot.seed, 7])
    turn, grow, shift = rng.normal() * jitter, 1 + rng.normal() * jitter, rng.normal(size=2) * jitter * size * 0.5
    spin = grow * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = np.full(2, size / 2)
    plane = spin @ plane
    plane[:, 2] += middle - spin @ middle + shift
    return Camera(camera.focal, camera.distance, camera.offset, plane)
