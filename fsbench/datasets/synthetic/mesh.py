"""Everything solid in a scene as one posed mesh: head, hair, and what is worn or held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fsbench.datasets.synthetic import props
from fsbench.datasets.synthetic.asset import Asset, vertex_normals
from fsbench.datasets.synthetic.geometry import Pose
from fsbench.datasets.synthetic.hair import Strands, place_strands
from fsbench.datasets.synthetic.people import Colour
from fsbench.datasets.synthetic.scenes import Session, Shot
from fsbench.datasets.synthetic.texture import ramp
from fsbench.faces.raster import pick

HAIR, PROP = 20, 21  # parts that follow those of the asset
_HAND: Colour = (0.35, 0.20, 0.14)


@dataclass(frozen=True)
class Mesh:
    """A posed scene; the head's own vertices and triangles come first, then the hair's, then the props'."""

    faces: Tensor  # (T, 3)
    part: Tensor  # (T,)
    head_faces: Tensor  # (H,) the first H triangles as numbers in the asset
    casting: Tensor  # (S, 3) triangles that throw a shadow
    table: Tensor  # (V, 13) position, normal, canonical, occlusion, strand
    strands: Strands | None

    @property
    def position(self) -> Tensor:
        """(V, 3)"""
        return self.table[:, :3]

    @property
    def n_head(self) -> int:
        """Triangles of the head."""
        return len(self.head_faces)


def build_mesh(
    asset: Asset, rest: Tensor, pose: Pose, strands: Strands | None, session: Session, shot: Shot, landmarks: Tensor
) -> Mesh:
    """Pose a head at rest (V, 3) with its hair and props; `landmarks` (68,) are vertices.

    In the table, a prop's canonical position stands for its colour.
    """
    posed = pose.apply(rest, asset.head_weight)
    normal = asset.normals(posed)
    tables = [torch.cat([posed, normal, asset.canonical, asset.occlusion[:, None], 0 * normal], 1)]
    head_faces, casting = asset.seen, [asset.body_faces]
    faces, parts = [pick(asset.faces, head_faces)], [pick(asset.parts, head_faces)]
    count = len(posed)
    if strands is not None:
        tables.append(_hair_table(asset, rest, pose, strands))
        faces.append(strands.faces + count)
        casting.append(pick(faces[-1], strands.shadow))
        parts.append(torch.full((len(strands.faces),), HAIR, device=asset.device))
        count += len(tables[-1])
    prop = make_prop(rest[landmarks].double().cpu().numpy(), session, shot)
    if prop is not None:
        points, triangles, colour = (
            torch.from_numpy(array).to(asset.device) for array in (prop.vertices, prop.faces, prop.albedo)
        )
        ones = torch.ones_like(points[:, :1])  # rigid with the head
        points = pose.apply(points, ones)
        tables.append(torch.cat([points, vertex_normals(points, triangles), colour, 0.7 * ones, 0 * points], 1))
        faces.append(triangles + count)
        casting.append(faces[-1])
        parts.append(torch.full((len(triangles),), PROP, device=asset.device))
    return Mesh(torch.cat(faces), torch.cat(parts), head_faces, torch.cat(casting), torch.cat(tables), strands)


def _hair_table(asset: Asset, rest: Tensor, pose: Pose, strands: Strands) -> Tensor:
    points, outward, along = place_strands(strands, rest, asset.normals(rest))
    n_shells = len(strands.lift)
    weight = torch.ones_like(points[:, :1])
    weight[:n_shells] = asset.head_weight[strands.root].repeat(n_shells // len(strands.root), 1)
    weight[n_shells:] -= ramp(-0.6, -2.4, points[n_shells:, 1:2]) * 0.7  # long hair follows the head less further down
    return torch.cat(
        [
            pose.apply(points, weight),
            pose.turn(outward, weight),
            0 * points,
            strands.occlusion[:, None],
            pose.turn(along, weight),
        ],
        1,
    )


def make_prop(landmarks: np.ndarray, session: Session, shot: Shot) -> props.Prop | None:
    """Fit glasses and occluders to the 68 landmarks of a head at rest (68, 3)."""
    rng, parts = np.random.default_rng([shot.seed, 9]), []
    if session.glasses:
        red, green, blue = np.random.default_rng([session.seed, 10]).uniform(0.01, 0.12, 3)
        eyes = np.stack([landmarks[42:48].mean(0), landmarks[36:42].mean(0)])
        half_width = float(np.abs(landmarks[[0, 16], 0]).mean())
        parts.append(props.spectacles(session.glasses, eyes, landmarks[27], half_width, (red, green, blue)))
    if shot.occluder == "microphone":
        parts.append(props.microphone(landmarks[62], rng))
    if shot.occluder == "hand":
        parts.append(props.hand(landmarks[62], _HAND, rng))
    return props.join(parts) if parts else None
