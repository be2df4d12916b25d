"""Hair: shells over the scalp through which strands are cut, and a curtain of the same strands where hair is long.

All strands run away from one pole on the scalp (a whorl, a parting, the forehead for hair that is combed back), so a
point is described by its azimuthal chart about that pole, and one picture of radial streaks serves every style.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import Asset, Texels
from fsbench.datasets.synthetic.scenes import Hair
from fsbench.datasets.synthetic.texture import noise, ramp

SCALP_CENTRE = (0.0, 0.25, -0.75)
_LAYERS = {"short": 7, "buzz": 2, "swept": 8, "fringe": 9, "long": 6, "curly": 9, "bald": 0}
_MAP = 1024                                             # pixels of the strand picture
_REACH = 3.3                                            # radians that its half side covers


def hair_cover(position: Tensor, hair: Hair) -> Tensor:
    """How far inside the hairline a canonical position lies: 0.5 on it, 0 and 1 five millimetres off."""
    x, y, z = position.unbind(-1)
    temples = torch.exp(-(((x.abs() - 0.42) / 0.2) ** 2))
    line = 0.62 + hair.line + hair.receding * (0.25 * temples + 0.10)
    front = y - (line - 0.30 * (x.abs() / 0.70).clamp(0, 1.2) ** 4)
    behind = -(z + 0.36) + (y - 0.15).clamp(min=0) * 0.75
    nape = y + 0.12 + 0.55 * ((-z - 0.55) / 0.35).clamp(0, 1)
    inside = torch.maximum(front, torch.minimum(behind, nape) * 0.8)
    return (inside / 0.10 + 0.5).clamp(0, 1) * (y > -0.95)


@lru_cache(maxsize=4)
def strands(device: torch.device, curly: bool) -> Tensor:
    """(H * W, 2) picture in the pole's chart: how high each strand stands and its shade, both 0 to 1, evenly spread."""
    side = (torch.arange(_MAP, dtype=torch.float32) + 0.5) / _MAP * 2 - 1
    y, x = torch.meshgrid(side * _REACH, side * _REACH, indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    ring = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    pictures = []
    for seed in (3, 7):
        if curly:
            points = torch.stack([x, y, torch.zeros_like(x)], -1)
            value = noise(points, 9, seed) + 0.8 * noise(points, 20, seed + 1)
        else:
            wavy = (radius + 0.08 * noise(torch.stack([x, y, 0 * x], -1), 2.5, seed + 9))[..., None]
            value = sum(weight * noise(torch.cat([ring * around, wavy * along], -1), 1.0, seed + k) for k, (around, along, weight)
                        in enumerate(((5, 1.2, 0.5), (14, 1.6, 0.7), (34, 2.2, 0.8), (60, 3.0, 0.6))))
        rank = value.flatten().argsort().argsort().float() / value.numel()
        pictures.append(rank)
    return torch.stack(pictures, 1).to(device)


def look_up(chart: Tensor, hair: Hair) -> Tensor:
    """(P, 2) chart positions -> (P, 2) height and shade of the strand there."""
    cell = ((chart / _REACH + 1) / 2 * _MAP).long().clamp(0, _MAP - 1)
    return strands(chart.device, hair.style == "curly")[cell[:, 1] * _MAP + cell[:, 0]]


def pole_chart(position: Tensor, hair: Hair) -> tuple[Tensor, Tensor]:
    """Canonical positions (P, 3) -> azimuthal equidistant chart about the pole (P, 2), and the strand's direction (P, 3)."""
    pole = position.new_tensor(hair.pole)
    across = torch.nn.functional.normalize(torch.linalg.cross(pole, position.new_tensor([1.0, 0.3, 0.2])), dim=0)
    frame = torch.stack([across, torch.linalg.cross(pole, across), pole], 1)
    direction = torch.nn.functional.normalize(position - position.new_tensor(SCALP_CENTRE), dim=-1)
    local = direction @ frame
    radius = torch.acos(local[:, 2].clamp(-1, 1))
    chart = local[:, :2] / local[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-4) * radius[:, None]
    along = direction * local[:, 2:] - pole             # away from the pole, along the surface
    return chart, torch.nn.functional.normalize(along, dim=1)


def paint_hair(texels: Texels, hair: Hair) -> tuple[Tensor, Tensor]:
    """Return per skin texel how much hair covers it and its colour: the roots, below all shells."""
    if hair.style == "bald":
        return torch.zeros_like(texels.position[:, 0]), torch.zeros_like(texels.position)
    chart, _ = pole_chart(texels.position, hair)
    height, shade = look_up(chart, hair).unbind(1)
    inside = hair_cover(texels.position, hair) * (1 - texels.masks[2])
    cover = ramp(0.15, 0.95, inside + 0.35 * (height - 0.5) * (inside > 0) * (inside < 1))
    if hair.style == "buzz":
        cover = cover * (0.72 + 0.2 * height)
    return cover, strand_colour(hair, shade) * 0.7


def strand_colour(hair: Hair, shade: Tensor) -> Tensor:
    """(P,) shades -> (P, 3) albedo."""
    return shade.new_tensor(hair.colour) * (0.55 + 0.9 * shade[:, None]) + 0.002


@dataclass(frozen=True)
class Shells:
    """Layers of one piece of scalp, the lowest first, as an add-on to the head's mesh."""

    faces: Tensor                                       # (T, 3) into `root` repeated layer by layer
    root: Tensor                                        # (R,) scalp vertices
    chart: Tensor                                       # (L * R, 2)
    lift: Tensor                                        # (L * R, 1) decimetres along the normal
    shift: Tensor                                       # (L * R, 3) canonical decimetres along the strands
    threshold: Tensor                                   # (L * R,) a strand lower than this has ended


def make_shells(asset: Asset, hair: Hair) -> Shells | None:
    """Return the shells of a hair style, or None where there are none."""
    layers = _LAYERS[hair.style]
    if layers == 0:
        return None
    canonical = asset.canonical
    ears = (canonical[:, 0].abs() > 0.74) & (canonical[:, 1] < 0.2) & (canonical[:, 2] > -1.0)
    inside = torch.where(ears, 0.0, hair_cover(canonical, hair))
    body = (asset.parts == 0) & asset.in_chart
    faces = asset.faces[body & (inside[asset.faces] > 0.02).any(1) & ~ears[asset.faces].any(1)]
    root = faces.unique()
    local = torch.full((len(canonical),), -1, dtype=torch.int64, device=faces.device)
    local[root] = torch.arange(len(root), device=faces.device)
    position, inside = canonical[root], inside[root]
    chart, along = pole_chart(position, hair)
    locks = 1 + 0.35 * noise(position, 2.2, hair.seed) + 0.25 * noise(position, 5.0, hair.seed + 1)
    top = 0.6 + 0.4 * ramp(0.1, 0.9, position[:, 1])
    volume = hair.volume * locks * top * ramp(0.0, 1.0, inside).clamp(min=0.12)
    comb = {"fringe": 1.5, "swept": 1.0, "curly": 0.1}.get(hair.style, 0.7)
    parts = []
    for layer in range(1, layers + 1):
        share = layer / layers
        down = position.new_tensor([0.0, -0.5 if hair.style == "fringe" else -0.15, 0.0])
        shift = (along * comb + down) * (volume * share**2)[:, None]
        edge = 0.55 * (1 - ramp(0.05, 0.7, inside))     # at the hairline only the tallest strands reach out
        parts.append((chart, volume * share, shift, share * 0.92 + edge * (1 - share * 0.92)))
    charts, lifts, shifts, thresholds = zip(*parts, strict=True)
    stacked = torch.cat([local[faces] + k * len(root) for k in range(layers)])
    return Shells(stacked, root, torch.cat(charts), torch.cat(lifts)[:, None], torch.cat(shifts), torch.cat(thresholds))


def shell_vertices(shells: Shells, vertices: Tensor, normals: Tensor) -> Tensor:
    """Grow the shells out of a head's vertices (V, 3): (L * R, 3)."""
    layers = len(shells.chart) // len(shells.root)
    return vertices[shells.root].repeat(layers, 1) + normals[shells.root].repeat(layers, 1) * shells.lift + shells.shift


_ = np
