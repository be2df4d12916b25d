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

from fsbench.datasets.synthetic.asset import BODY, Asset, Texels
from fsbench.datasets.synthetic.scenes import Hair
from fsbench.datasets.synthetic.texture import noise, ramp
from fsbench.faces.raster import pick

SCALP_CENTRE = (0.0, 0.25, -0.75)
_LAYERS = {"short": 7, "buzz": 2, "swept": 7, "fringe": 8, "long": 6, "curly": 8, "bald": 0}
_COMB = {"fringe": 1.5, "swept": 1.0, "curly": 0.1}  # how far the outer layers follow the strands, in volumes
_STREAKS = ((5, 1.2, 0.4), (14, 1.6, 0.6), (34, 2.2, 0.9), (60, 3.0, 0.8))  # frequency around and along, weight
_MAP = 1024  # pixels of the strand picture
_REACH = 3.3  # radians that its half side covers


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


@lru_cache(maxsize=6)
def strands(device: torch.device, kind: str) -> Tensor:
    """(H * W, 2) picture in the pole's chart: how high each strand stands and its shade, both 0 to 1, evenly spread."""
    side = ((torch.arange(_MAP, dtype=torch.float32) + 0.5) / _MAP * 2 - 1) * _REACH
    y, x = torch.meshgrid(side, side, indexing="ij")
    points = torch.stack([x, y, torch.zeros_like(x)], -1)
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    ring = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    pictures = []
    for seed in (3, 7):
        if kind == "curly":
            value = noise(points, 9, seed) + 0.8 * noise(points, 20, seed + 1)
        elif kind == "buzz":
            value = 0.4 * noise(points, 6, seed) + noise(points, 40, seed + 1)
        else:
            wavy = (radius + 0.08 * noise(points, 2.5, seed + 9))[..., None]
            value = torch.zeros_like(x)
            for k, (around, along, weight) in enumerate(_STREAKS):
                value += weight * noise(torch.cat([ring * around, wavy * along], -1), 1.0, seed + k)
        pictures.append(value.flatten().argsort().argsort().float() / value.numel())
    return torch.stack(pictures, 1).to(device)


def look_up(chart: Tensor, hair: Hair) -> Tensor:
    """(P, 2) chart positions -> (P, 2) height and shade of the strand there."""
    cell = ((chart / _REACH + 1) * (_MAP / 2)).long().clamp(0, _MAP - 1)
    kind = hair.style if hair.style in ("curly", "buzz") else "straight"
    return pick(strands(chart.device, kind), cell[:, 1] * _MAP + cell[:, 0])


def pole_chart(position: Tensor, hair: Hair) -> tuple[Tensor, Tensor]:
    """(P, 3) canonical -> azimuthal equidistant chart about the pole (P, 2), and the strand's direction (P, 3)."""
    pole = position.new_tensor(hair.pole)
    across = torch.nn.functional.normalize(torch.linalg.cross(pole, position.new_tensor([1.0, 0.3, 0.2])), dim=0)
    frame = torch.stack([across, torch.linalg.cross(pole, across), pole], 1)
    direction = torch.nn.functional.normalize(position - position.new_tensor(SCALP_CENTRE), dim=-1)
    local = direction @ frame
    radius = torch.acos(local[:, 2].clamp(-1, 1))
    chart = local[:, :2] / local[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-4) * radius[:, None]
    along = direction * local[:, 2:] - pole  # away from the pole, along the surface
    return chart, torch.nn.functional.normalize(along, dim=1)


def paint_hair(texels: Texels, hair: Hair) -> tuple[Tensor, Tensor]:
    """Return per skin texel how much hair covers it and its colour: the roots, below all shells."""
    if hair.style == "bald":
        return torch.zeros_like(texels.position[:, 0]), torch.zeros_like(texels.position)
    chart, _ = pole_chart(texels.position, hair)
    height, shade = look_up(chart, hair).unbind(1)
    inside = hair_cover(texels.position, hair) * (1 - texels.masks[2])
    cover = ramp(0.1, 0.95, inside + 0.3 * (height - 0.5) * (inside > 0) * (inside < 1))
    if hair.style == "buzz":
        return cover * (0.82 + 0.1 * height), strand_colour(hair, 0.3 + 0.4 * shade)
    return cover, strand_colour(hair, shade) * 0.7


def strand_colour(hair: Hair, shade: Tensor) -> Tensor:
    """(P,) shades -> (P, 3) albedo."""
    return shade.new_tensor(hair.colour) * (0.55 + 0.9 * shade[:, None]) + 0.002


@dataclass(frozen=True)
class Strands:
    """Hair as an addition to a head's mesh: surfaces in which a chart and a threshold cut single strands.

    A shell vertex hangs on a scalp vertex; a curtain vertex is a point on a unit cylinder around the head.
    """

    faces: Tensor  # (T, 3) into the H hair vertices
    chart: Tensor  # (H, 2)
    threshold: Tensor  # (H,) a strand lower than this has ended
    occlusion: Tensor  # (H,)
    root: Tensor  # (R,) scalp vertices of one shell
    along: Tensor  # (R, 3) direction of strands, canonical
    lift: Tensor  # (L * R, 1) decimetres along the normal
    shift: Tensor  # (L * R, 3) decimetres along the strands
    curtain: Tensor  # (C, 3) across, height in decimetres, forward
    shadow: Tensor  # (S,) numbers of the triangles that cast the shadow of all


def make_strands(asset: Asset, hair: Hair) -> Strands | None:
    """Return the hair of a style, or None for a bald head."""
    layers = _LAYERS[hair.style]
    if layers == 0:
        return None
    canonical = asset.canonical
    inside = hair_cover(canonical, hair) * (1 - asset.ear)
    bare = asset.ear > 0.1
    body = (asset.parts == BODY) & asset.in_chart
    faces = asset.faces[body & (inside[asset.faces] > 0.02).any(1) & ~bare[asset.faces].any(1)]
    root = torch.unique(faces)
    local = torch.full((len(canonical),), -1, dtype=torch.int64, device=faces.device)
    local[root] = torch.arange(len(root), device=faces.device)
    position, inside, occlusion = canonical[root], inside[root], asset.occlusion[root].clamp(min=0.6)
    chart, along = pole_chart(position, hair)
    locks = 1 + 0.35 * noise(position, 2.2, hair.seed) + 0.25 * noise(position, 5.0, hair.seed + 1)
    volume = hair.volume * locks * (0.6 + 0.4 * ramp(0.1, 0.9, position[:, 1])) * ramp(0.0, 1.0, inside).clamp(min=0.12)
    drop = position.new_tensor([0.0, -0.5 if hair.style == "fringe" else -0.15, 0.0])
    ended = 0.55 * (1 - ramp(0.05, 0.7, inside))  # at the hairline only the tallest strands reach out
    shares = [(layer + 1) / layers for layer in range(layers)]
    lift = torch.cat([volume * share for share in shares])[:, None]
    shift = torch.cat([(along * _COMB.get(hair.style, 0.7) + drop) * (volume * share**2)[:, None] for share in shares])
    threshold = torch.cat([0.92 * share + ended * (1 - 0.92 * share) for share in shares])
    shell = local[faces]
    shells = torch.cat([shell + layer * len(root) for layer in range(layers)])
    casts = torch.arange(len(shells), device=shells.device) // len(shell) == layers // 2
    dark = torch.cat([(0.35 + 0.6 * share) * occlusion for share in shares])
    curtain, hung, hung_chart, hung_threshold, hung_dark = _curtain(hair, asset.device)
    casts = torch.cat([casts, torch.ones_like(hung[:, 0], dtype=torch.bool)])
    return Strands(
        faces=torch.cat([shells, hung + len(lift)]),
        chart=torch.cat([chart.repeat(layers, 1), hung_chart]),
        threshold=torch.cat([threshold, hung_threshold]),
        occlusion=torch.cat([dark, hung_dark]),
        root=root,
        along=along,
        lift=lift,
        shift=shift,
        curtain=curtain,
        shadow=casts.nonzero()[:, 0],
    )


def _curtain(hair: Hair, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Long hair: three cylinders of strands, open over the face. Points, triangles, chart, threshold, occlusion."""
    if hair.style != "long":
        none = torch.zeros(0, device=device)
        return none.view(0, 3), none.view(0, 3).long(), none.view(0, 2), none, none
    columns, rows, layers = 80, 16, 3
    rng = np.random.default_rng([hair.seed, 12])
    opening, length = rng.uniform(0.85, 1.1), rng.uniform(1.3, 2.6)
    angle = np.linspace(opening, 2 * np.pi - opening, columns)[None, None]
    t = np.linspace(0, 1, rows)[None, :, None]
    layer = np.arange(layers)[:, None, None] / (layers - 1)
    lock = np.interp(angle, np.linspace(0, 2 * np.pi, 15), rng.normal(size=15)) * 0.05
    bulge, tuck = np.sin(np.pi * np.clip(t * 1.3, 0, 1)), np.clip(1 - t / 0.35, 0, 1) ** 2
    radius = 1 + 0.06 * layer + (0.10 + lock) * bulge - 0.45 * tuck - 0.08 * t**3
    tips = length * (1 + 0.06 * np.cos(angle * 2)) * (1 - 0.05 * layer)
    points = np.stack(np.broadcast_arrays(radius * np.sin(angle), 0.62 - (0.62 + tips) * t, radius * np.cos(angle)), -1)
    chart_radius = 0.9 + 1.6 * t + 0.1 * layer
    around = angle + layer
    chart = np.stack(np.broadcast_arrays(chart_radius * np.cos(around), chart_radius * np.sin(around)), -1)
    edge = np.minimum(angle - opening, 2 * np.pi - opening - angle)
    threshold = np.maximum(np.clip((t - 0.86) / 0.14, 0, 1), np.clip(1 - edge / 0.16, 0, 1)) * 0.95 + 0.25 * layer
    dark = np.broadcast_to(0.5 + 0.2 * layer, threshold.shape)
    i, j, k = np.meshgrid(np.arange(layers), np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = ((i * rows + j) * columns + k).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    outside = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    both = np.concatenate([outside, outside[:, ::-1]])

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array.reshape(-1, array.shape[-1]), np.float32)).to(device)

    return (
        tensor(points),
        torch.from_numpy(np.ascontiguousarray(both)).to(device),
        tensor(chart),
        tensor(threshold[..., None])[:, 0],
        tensor(dark[..., None])[:, 0],
    )


def place_strands(strands: Strands, rest: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Grow hair on a head at rest (V, 3): vertices, their normals, and the directions of the strands, (H, 3) each."""
    layers = len(strands.lift) // len(strands.root)
    normal = normals[strands.root].repeat(layers, 1)
    points = rest[strands.root].repeat(layers, 1) + normal * strands.lift + strands.shift
    along = strands.along.repeat(layers, 1)
    if len(strands.curtain) == 0:
        return points, normal, along
    scalp = rest[strands.root]
    wide = scalp[:, 0].abs().amax() + 0.10
    back = scalp[:, 2].amin() - 0.08
    deep = (0.22 - back) / 2
    across, height, forward = strands.curtain.unbind(1)
    hung = torch.stack([across * wide, height, forward * deep + (0.22 + back) / 2], 1)
    outward = torch.nn.functional.normalize(torch.stack([across, 0.15 * torch.ones_like(across), forward], 1), dim=1)
    down = torch.zeros_like(hung)
    down[:, 1] = -1
    return torch.cat([points, hung]), torch.cat([normal, outward]), torch.cat([along, down])
