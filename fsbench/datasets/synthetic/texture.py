"""What skin looks like: maps of albedo, gloss and relief, painted once per person in canonical space.

A map is `(6, H, 2H)`: linear RGB albedo, gloss (1 is plain skin), height of the relief in decimetres, and how much hair
covers the skin. Shading then needs one texture look-up per pixel.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import Asset, Texels
from fsbench.datasets.synthetic.people import Person

GLOSS, RELIEF, COVER = 3, 4, 5
_PERIOD = 32


@lru_cache(maxsize=2)
def _volume(device: torch.device) -> tuple[Tensor, Tensor]:
    """A periodic volume of random values, and a rotation that keeps its grid off the axes."""
    rng = np.random.default_rng(12345)
    values = np.pad(rng.random((_PERIOD,) * 3, np.float32), (0, 1), mode="wrap")
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    return torch.from_numpy(values)[None, None].to(device), torch.from_numpy(rotation).to(device)


def noise(points: Tensor, frequency: float, seed: int) -> Tensor:
    """Smooth value noise in [-1, 1] at points (..., 3), `frequency` cells a decimetre."""
    volume, rotation = _volume(points.device)
    shift = points.new_tensor(np.random.default_rng([seed, 6]).random(3) * _PERIOD)
    cell = (points @ rotation) * frequency + shift
    whole = cell.floor()
    part = cell - whole
    where = torch.remainder(whole + part * part * (3 - 2 * part), _PERIOD) / _PERIOD * 2 - 1
    found = torch.nn.functional.grid_sample(volume, where.reshape(1, 1, 1, -1, 3), align_corners=True)
    return found.reshape(points.shape[:-1]) * 2 - 1


def layered(points: Tensor, frequency: float, seed: int, octaves: int) -> Tensor:
    """Noise with finer and weaker noise on top."""
    return torch.stack([noise(points, frequency * 2**k, seed + k) * 0.5**k for k in range(octaves)]).sum(0)


def ramp(low: float, high: float, x: Tensor) -> Tensor:
    """Smooth step from 0 at `low` to 1 at `high`; falls where low > high."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def blob(x: Tensor, y: Tensor, at: tuple[float, float], radius: tuple[float, float]) -> Tensor:
    """Gaussian bump."""
    return torch.exp(-(((x - at[0]) / radius[0]) ** 2) - ((y - at[1]) / radius[1]) ** 2)


def face_weight(position: Tensor) -> Tensor:
    """How much of a canonical position (..., 3) is face, 0 to 1: what a face-only swap replaces."""
    x, y, z = position.unbind(-1)
    temple = y + 0.25 * (x.abs() - 0.3).clamp(min=0)
    return ramp(-0.45, -0.15, z) * ramp(-1.18, -0.98, y) * ramp(0.62, 0.42, temple) * ramp(0.76, 0.58, x.abs())


def paint_skin(asset: Asset, person: Person, height: int) -> Tensor:
    """Return the skin map of a person, hairless scalp, (6, height, 2 * height)."""
    texels = asset.texels(height)
    p, seed = texels.position, person.seed * 97
    coarse, fine, pores = layered(p, 3.0, seed, 2), layered(p, 14.0, seed + 11, 2), noise(p, 55.0, seed + 23)
    x, y, z = p.unbind(1)
    front = ramp(-0.1, 0.2, z)
    nose_tip = blob(x, y, (0, -0.37), (0.15, 0.14)) * front
    albedo = _complexion(person, texels, coarse, fine, pores, nose_tip)
    albedo = _spots(person, p, albedo, front)
    lips = ramp(0.25, 0.75, texels.masks[0])
    lipstick = 0.6 * person.lipstick
    lip = _colour(p, person.lip) * (1 - lipstick) + _colour(p, person.lipstick_colour) * lipstick
    albedo = albedo + (lip * (1 + 0.10 * fine - 0.15 * coarse)[:, None] - albedo) * lips[:, None]
    beard = _beard(person, p, lips, nose_tip)
    dark = _colour(p, person.hair_colour) * (0.62 - 0.2 * person.grey) + 0.004
    albedo = albedo + (dark - albedo) * beard[:, None]
    brows = _brows(person, p)
    albedo = albedo + (_colour(p, person.hair_colour) * (0.55 - 0.2 * person.grey) + 0.004 - albedo) * brows[:, None]
    forehead = blob(x, y, (0, 0.4), (0.35, 0.2)) * front
    gloss = 1 + 0.5 * nose_tip + 0.35 * forehead + lips * (0.4 + 0.9 * person.lipstick)
    gloss = gloss * (1 - 0.7 * brows) * (1 - 0.6 * beard) * (1 + 0.25 * fine)
    relief = (
        0.0010 * fine
        + 0.0009 * pores
        + person.wrinkles * _wrinkles(p, coarse, front)
        + 0.003 * beard * noise(p, 40.0, seed + 41)
    )
    channels = torch.stack([*albedo.clamp(0.003, 0.9).unbind(1), gloss, relief, torch.zeros_like(gloss)])
    return channels[:, texels.fill].reshape(len(channels), height, texels.width)


def _colour(like: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return like.new_tensor(colour)[None]


def _wrinkles(p: Tensor, coarse: Tensor, front: Tensor) -> Tensor:
    """Folds across the forehead and crow's feet, decimetres high."""
    x, y, _ = p.unbind(1)
    forehead = ramp(0.22, 0.35, y) * ramp(0.62, 0.5, y) * ramp(0.55, 0.3, x.abs()) * front
    folds = torch.sin((y + 0.03 * coarse + 0.015 * x * x) * 70) * 0.5 * forehead
    rays = torch.sin((y + 0.11 + (x.abs() - 0.5) * 0.5 * (y + 0.1) * 8) * 60)
    return 0.0028 * folds + 0.0014 * rays * blob(x.abs(), y, (0.60, -0.08), (0.10, 0.14))


def _complexion(
    person: Person, texels: Texels, coarse: Tensor, fine: Tensor, pores: Tensor, nose_tip: Tensor
) -> Tensor:
    """Skin tone with flushed cheeks, nose and ears, darker lids, rings under the eyes, and nasolabial folds."""
    p = texels.position
    x, y, z = p.unbind(1)
    ax, front = x.abs(), ramp(-0.1, 0.2, z)
    albedo = _colour(p, person.skin) * (1 + 0.07 * coarse * person.blotches + 0.05 * fine + 0.035 * pores)[:, None]
    cheek = blob(ax, y, (0.44, -0.36), (0.19, 0.19)) * ramp(-0.4, 0.0, z)
    chin = blob(x, y, (0, -0.98), (0.2, 0.12)) * front
    flush = (0.75 * cheek + 0.8 * nose_tip + 0.3 * chin) * (0.5 + 0.6 * person.blotches) * (1 + 0.5 * coarse)
    flush = flush + 0.6 * texels.masks[2]
    albedo = albedo * p.new_tensor([1.08, 0.86, 0.84])[None] ** flush[:, None]
    rings = blob(ax, y, (0.29, -0.14), (0.16, 0.07)) * front * person.eye_rings * 0.4
    albedo = albedo * (1 - rings[:, None] * p.new_tensor([0.8, 1.0, 0.85]))
    albedo = albedo * (1 - 0.2 * texels.masks[1])[:, None]
    fold = torch.exp(-(((ax - 0.20 - 0.22 * (-0.42 - y).clamp(0, 0.3)) / 0.03) ** 2))
    fold = fold * ramp(-0.75, -0.6, y) * ramp(-0.38, -0.45, y) * front
    return albedo * (1 - fold * (0.05 + 0.13 * person.age))[:, None]


def _spots(person: Person, p: Tensor, albedo: Tensor, front: Tensor) -> Tensor:
    """Freckles across nose and cheeks, and single moles."""
    x, y, _ = p.unbind(1)
    if person.freckles > 0.05:
        where = ramp(0, 0.6, blob(x, y, (0, -0.2), (0.5, 0.3))) * front
        freckles = ramp(0.45, 0.75, noise(p, 24.0, person.seed + 31)) * where
        albedo = albedo * (1 - freckles[:, None] * person.freckles * p.new_tensor([0.30, 0.45, 0.5]))
    rng = np.random.default_rng([person.seed, 5])
    for _ in range(person.n_moles):
        at, radius = (rng.uniform(-0.6, 0.6), rng.uniform(-1.0, 0.5)), rng.uniform(0.008, 0.016)
        away = ((x - at[0]) ** 2 + (y - at[1]) ** 2).sqrt()
        albedo = albedo * (1 - 0.55 * front * ramp(radius * 1.3, radius * 0.5, away))[:, None]
    return albedo


def _beard(person: Person, p: Tensor, lips: Tensor, nose_tip: Tensor) -> Tensor:
    """How much beard covers the skin, with hairs and without a hard edge."""
    beard, seed = person.beard, person.seed * 89
    if not person.male:
        return torch.zeros_like(lips)
    x, y, z = p.unbind(1)
    ax = x.abs()
    hairs = noise(p * p.new_tensor([1.0, 0.45, 1.0]), 70.0, seed + 41) * 0.6 + noise(p, 34.0, seed + 42) * 0.4
    patches = noise(p, 5.0, seed + 44)
    line = -0.50 - 0.10 * ramp(0.15, 0.32, ax) + 0.62 * (ax - 0.32).clamp(min=0)  # of the cheek, rising to the sideburn
    jaw = ramp(0.06, -0.22, y - line + 0.05 * patches) * ramp(-1.55, -1.05, y)
    jaw = jaw * ramp(-0.80, -0.45, z) * ramp(0.95, 0.80, ax)
    chin = ramp(0.36, 0.16, ax + 0.05 * patches) * ramp(-0.72, -0.85, y) * ramp(-1.4, -1.1, y) * ramp(-0.3, 0.0, z)
    lip_top = ramp(0.085, 0.02, (y + 0.52 + 0.09 * ax).abs()) * ramp(0.36, 0.22, ax) * ramp(0.05, 0.2, z)
    corners = ramp(0.07, 0.02, (ax - 0.29).abs()) * ramp(-0.5, -0.56, y) * ramp(-0.95, -0.8, y) * ramp(-0.1, 0.1, z)
    stubble = torch.maximum(jaw, lip_top) * person.beard.stubble * 0.30 * (0.75 + 0.5 * hairs)
    grown = torch.maximum(
        torch.maximum(beard.full * jaw, beard.moustache * lip_top), beard.goatee * torch.maximum(chin, corners)
    )
    grown = (grown * (1.15 + 0.75 * hairs)).clamp(0, 1) * 0.86
    return torch.maximum(stubble, grown) * (1 - lips) * (1 - 0.8 * nose_tip)


def _brows(person: Person, p: Tensor) -> Tensor:
    """How much brow covers the skin: a curved band of slanted hairs that thins out at its ends and edges."""
    brows, seed = person.brows, person.seed * 83
    x, y, z = p.unbind(1)
    along = (x.abs() - brows.inner) / (brows.outer - brows.inner)
    centre = (
        brows.height
        + brows.arch * torch.sin(along.clamp(0, 1) * math.pi * 0.85)
        + brows.tilt * (along - 0.4) * 0.25
        - 0.1 * (along - 0.75).clamp(min=0)
    )
    half = brows.thickness * (1.1 - 0.7 * along.clamp(0, 1) ** 1.4) * ramp(-0.10, 0.18, along)
    slant = torch.stack([x.abs() * 1.0 + 0.9 * (y - centre), (y - centre) * 0.45 - 0.2 * x.abs(), z], 1)
    hairs = noise(slant, 60.0, seed + 51) * 0.6 + noise(slant, 110.0, seed + 52) * 0.4
    off = (y - centre).abs() / half.clamp(min=1e-3)
    ends = ramp(-0.08, 0.16, along + 0.06 * hairs) * ramp(1.06, 0.82, along + 0.05 * hairs)
    cover = ramp(1.25, 0.25, off + 0.4 * hairs) * ends
    return (cover * brows.density * ramp(-0.2, 0.0, z)).clamp(0, 0.93)
