"""Things worn or held: spectacles, a microphone, a hand; built of tubes and balls in head space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fsbench.datasets.synthetic.people import Colour

Points = np.ndarray


@dataclass(frozen=True)
class Prop:
    """A closed surface with one colour a vertex."""

    vertices: np.ndarray  # (V, 3) float32, head space
    faces: np.ndarray  # (T, 3) int64, counter-clockwise from outside
    albedo: np.ndarray  # (V, 3) float32


def join(props: list[Prop]) -> Prop:
    """Return several props as one."""
    first = np.cumsum([0, *(len(prop.vertices) for prop in props[:-1])])
    return Prop(
        np.concatenate([prop.vertices for prop in props]),
        np.concatenate([prop.faces + start for prop, start in zip(props, first, strict=True)]),
        np.concatenate([prop.albedo for prop in props]),
    )


def tube(path: Points, radius: Points, colour: Colour, *, closed: bool = False, sides: int = 8) -> Prop:
    """Sweep a circle of the given radii (N,) along a path (N, 3)."""
    path, count = np.asarray(path, np.float64), len(path)
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.where(np.abs(along[:, 2:]) < 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    right = np.cross(along, helper)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(along, right)
    angle = np.arange(sides) * 2 * math.pi / sides
    ring = right[:, None] * np.cos(angle)[None, :, None] + up[:, None] * np.sin(angle)[None, :, None]
    vertices = (path[:, None] + ring * np.broadcast_to(radius, count)[:, None, None]).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(count if closed else count - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = (i + 1) % count * sides + j, (i + 1) % count * sides + (j + 1) % sides
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return Prop(vertices.astype(np.float32), faces, np.tile(np.array(colour, np.float32), (len(vertices), 1)))


def capsule(start: Points, end: Points, radius: float, colour: Colour, *, taper: float = 1.0, sides: int = 10) -> Prop:
    """A rod with round ends, `taper` times as thick at its end."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    length = max(float(np.linalg.norm(end - start)), 1e-6)
    t = np.array([-1, -0.92, -0.7, -0.38, 0]) * radius / length
    t = np.concatenate([t, [0.5], 1 - t[::-1] * taper])
    end_radius = radius * taper
    bulge = np.sqrt(np.clip(1 - np.array([1, 0.92, 0.7, 0.38, 0]) ** 2, 1e-4, None))
    thickness = np.concatenate([bulge * radius, [(radius + end_radius) / 2], bulge[::-1] * end_radius])
    return tube(start + t[:, None] * (end - start), thickness, colour, sides=sides)


def spectacles(kind: str, eyes: Points, bridge: Points, half_width: float, colour: Colour) -> Prop:
    """Rims before the eyes (2, 3), a bridge over the nose, and temples to the ears, `half_width` from the middle."""
    angle = np.arange(28) * 2 * math.pi / 28
    wide, high, power = {"round": (0.245, 0.225, 2.0), "square": (0.265, 0.19, 4.0), "thin": (0.26, 0.165, 2.6)}[kind]
    radius = {"round": 0.016, "square": 0.026, "thin": 0.011}[kind]
    shape = np.stack(
        [
            wide * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power),
            high * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power),
            0 * angle,
        ],
        1,
    )
    front = float(bridge[2]) + 0.035
    parts = []
    for eye in eyes:
        side = math.copysign(1, float(eye[0]))
        centre = np.array([eye[0] * 1.05, eye[1] - 0.03, front])
        rim = centre + shape - [[0, 0, 1]] * (0.12 * np.abs(shape[:, :1] + centre[0]) ** 2)  # wrapped around the face
        outer = centre + np.array([side * wide, 0.05, -0.12 * (abs(centre[0]) + wide) ** 2])
        ear = np.array([side * (half_width + 0.03), 0.05, -0.85])
        hinge = np.array([side * (half_width + 0.02), 0.05, outer[2] - 0.10])
        parts += [
            tube(rim, np.array(radius), colour, closed=True),
            tube(np.stack([outer, hinge, (hinge + ear) / 2, ear]), np.array(radius * 1.1), colour),
        ]
    left, right = (
        np.array([math.copysign(abs(eye[0]) * 1.05 - wide * 0.93, eye[0]), eye[1] + 0.04, front]) for eye in eyes
    )
    middle = (left + right) / 2 + [0, 0.035, 0.03]
    return join([*parts, tube(np.stack([left, middle, right]), np.array(radius), colour)])


def microphone(mouth: Points, rng: np.random.Generator) -> Prop:
    """A ball on a rod, held from below before the mouth (3,)."""
    side = rng.uniform(-0.45, 0.45)
    ball = mouth + np.array([side * 0.6, -0.28, rng.uniform(0.28, 0.42)])
    away = np.array([side * 0.9, -1.6, 0.35])
    grey = float(rng.uniform(0.02, 0.12))
    return join(
        [
            capsule(ball, ball + np.array([0.0, 0.02, 0.0]), 0.21, (grey, grey, grey), sides=16),
            capsule(ball + 0.1 * away, ball + away, 0.10, (0.02, 0.02, 0.022), taper=1.1),
        ]
    )


def hand(mouth: Points, skin: Colour, rng: np.random.Generator) -> Prop:
    """Four fingers, a thumb and a palm laid over one cheek and part of the mouth (3,)."""
    side = float(rng.choice([-1.0, 1.0]))
    tip = mouth + np.array([side * rng.uniform(0.10, 0.25), rng.uniform(-0.05, 0.15), 0.22])
    parts = []
    for k in range(4):
        end = tip + np.array([side * 0.04 * k, -0.155 * k, -0.03 * k * k])
        knuckle = end + np.array([side * 0.55, -0.12 - 0.03 * k, -0.16])
        parts.append(capsule(knuckle, end, 0.085, skin, taper=0.82))
        parts.append(capsule(knuckle + np.array([side * 0.45, -0.35, -0.1]), knuckle, 0.105, skin, taper=0.85))
    wrist = tip + np.array([side * 1.35, -1.35, -0.15])
    parts.append(capsule(wrist, tip + np.array([side * 0.9, -0.62, -0.15]), 0.22, skin, taper=1.25))
    return join(parts)
