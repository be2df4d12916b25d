"""Light on surfaces: from albedo and geometry at a set of pixels to linear radiance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, normalize

from fsbench.datasets.synthetic.scenes import Light
from fsbench.datasets.synthetic.texture import noise, ramp
from fsbench.faces.raster import pick, rasterise

_SHADOW_SIDE = 192
_SHADOW_REACH = 1.9  # decimetres from the head's centre to the map's border
_SHADOW_SHARPNESS = 14.0  # of the exponential shadow map, per decimetre


@dataclass
class Surface:
    """What is seen at P pixels."""

    position: Tensor  # (P, 3)
    normal: Tensor  # (P, 3)
    view: Tensor  # (P, 3) unit, towards the camera
    albedo: Tensor  # (P, 3) linear
    occlusion: Tensor  # (P,) 1 is open sky
    gloss: Tensor  # (P,) 1 is plain skin
    skin: Tensor  # (P,) 1 where light travels below the surface
    hair: Tensor  # (P,)
    strand: Tensor  # (P, 3) direction of hair
    eye: Tensor  # (P,) 1 on the wet eyeball
    roughness: float


def direction(azimuth: float, elevation: float, like: Tensor) -> Tensor:
    """Unit vector to a light, degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return like.new_tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])


def shadow(points: Tensor, faces: Tensor, centre: Tensor, towards: Tensor, at: Tensor, normal: Tensor) -> Tensor:
    """Return how much of a light in direction `towards` reaches the points `at`, 0 to 1, with soft edges.

    An exponential shadow map (Annen et al., Graphics Interface 2008): exp(k depth) may be blurred, depth may not.
    """
    right = normalize(torch.linalg.cross(towards, towards.new_tensor([0.0, 1.0, 0.01])), dim=0)
    down = torch.linalg.cross(right, towards)
    frame = torch.stack([right, down, towards], 1) / _SHADOW_REACH
    local = (points - centre) @ frame
    screen = torch.cat([(local[:, :2] / 2 + 0.5) * _SHADOW_SIDE, local[:, 2:]], 1)
    nearest = rasterise(screen, faces, _SHADOW_SIDE)
    height = torch.where(nearest >= 0, pick(local[:, 2][faces].mean(1), nearest.clamp(min=0)), -2.0)
    sharpness = _SHADOW_SHARPNESS * _SHADOW_REACH
    blurred = avg_pool2d(
        torch.exp(sharpness * height).view(1, 1, _SHADOW_SIDE, _SHADOW_SIDE), 5, 1, 2, count_include_pad=False
    )
    here = (at + 0.03 * normal - centre) @ frame
    found = grid_sample(blurred, here[None, None, :, :2], align_corners=False, padding_mode="border")[0, 0, 0]
    lit = torch.exp(sharpness * (here[:, 2] + 0.02)) / found.clamp(min=1e-20)
    return ramp(0.25, 0.95, lit)


def radiance(surface: Surface, light: Light, lit: Tensor) -> Tensor:
    """Return linear RGB (P, 3); `lit` is what the shadow leaves of the key light."""
    normal, view = surface.normal, surface.view
    towards = direction(light.azimuth, light.elevation, normal)
    key, sky, ground = (normal.new_tensor(colour) for colour in (light.key, light.sky, light.ground))
    facing = normal @ towards
    wrap = surface.skin[:, None] * normal.new_tensor([0.40, 0.19, 0.12])  # red travels furthest below the skin
    diffuse = ((facing[:, None] + wrap) / (1 + wrap)).clamp(min=0) / (1 + 0.5 * wrap)
    hair, sheen = _hair_light(surface, towards, facing)
    diffuse = torch.lerp(diffuse, hair[:, None], surface.hair[:, None])
    softened = torch.stack([(lit * lit.sqrt()).sqrt(), lit, lit], 1)  # and leaks into shadows
    up = (normal[:, 1:2] + 1) / 2
    fill = (normal @ direction(-0.8 * light.azimuth - 20, 10, normal)).clamp(min=0) * light.fill
    rim = (normal @ direction(180 - light.azimuth, 25, normal)).clamp(min=0) * light.rim
    ambient = (ground + up * (sky - ground) + (fill + rim)[:, None]) * surface.occlusion[:, None]
    out = surface.albedo * (diffuse * softened * key + ambient)

    half = normalize(towards + view, dim=1)
    across = (normal * half).sum(1).clamp(0, 1)
    lobes = 0.7 * _ggx(across, surface.roughness) + 0.3 * _ggx(across, 0.6 * surface.roughness)
    fresnel = 0.028 + 0.972 * _fifth(1 - (view * half).sum(1).clamp(0, 1))
    bare = surface.gloss * (1 - surface.hair)
    glint = 0.22 * lobes * fresnel * bare * facing.clamp(min=0).sqrt() * lit + 0.05 * sheen * lit
    grazing = (1 - (normal * view).sum(1).clamp(0, 1)).square().square()
    out = out + key * glint[:, None] + sky * (0.03 * grazing * bare * surface.occlusion)[:, None]
    eyes = surface.eye.nonzero()[:, 0]  # wet: they mirror the key light and a window
    window = normalize(direction(-25, 30, normal) + view[eyes], dim=1)
    mirrored = (normal[eyes] * window).sum(1).clamp(0, 1) ** 420
    out[eyes] += key * (2.0 * lit[eyes] * across[eyes] ** 420)[:, None] + sky * (0.5 * mirrored)[:, None]
    return out


def _hair_light(surface: Surface, towards: Tensor, facing: Tensor) -> tuple[Tensor, Tensor]:
    """Diffuse light and sheen of strands (P,), which are lit across (Kajiya and Kay, SIGGRAPH 1989); 0 elsewhere."""
    diffuse, sheen = torch.zeros_like(facing), torch.zeros_like(facing)
    index = surface.hair.nonzero()[:, 0]
    strand = surface.strand[index]
    to_light, to_view = strand @ towards, (strand * surface.view[index]).sum(1)
    across = (1 - to_light.square()).clamp(min=0).sqrt()
    diffuse[index] = 0.35 * across + 0.65 * facing[index].clamp(min=0)
    mirror = (to_light * to_view + across * (1 - to_view.square()).clamp(min=0).sqrt()).clamp(0, 1)
    sheen[index] = mirror**24 * surface.hair[index] * (facing[index] > 0)
    return diffuse, sheen


def _fifth(x: Tensor) -> Tensor:
    return x.square().square() * x


def _ggx(across: Tensor, roughness: float) -> Tensor:
    alpha = roughness**4
    return alpha / (math.pi * (across * across * (alpha - 1) + 1).square())


def paint_eyes(canonical: Tensor, left: Tensor, centres: Tensor, iris: Tensor, seed: int) -> Tensor:
    """Return the albedo of eyeballs at canonical positions (P, 3); `left` tells the subject's left eye.

    The optical axes point 6 degrees outwards in the mesh's rest position; an iris spans 0.41 rad, a pupil 0.15.
    """
    away = normalize(canonical - torch.where(left[:, None], centres[0], centres[1]), dim=1)
    axis = torch.where(left, 0.11, -0.11)
    angle = torch.acos((away[:, 0] * axis + away[:, 2] * 0.994).clamp(-1, 1))
    turn = torch.atan2(away[:, 1], away[:, 0] - axis)
    white = canonical.new_tensor([0.60, 0.55, 0.52]) * (1 - 0.25 * ramp(0.5, 1.1, angle))[:, None]
    fibres = noise(torch.stack([torch.cos(turn) * 4, torch.sin(turn) * 4, angle * 4], 1), 1.5, seed)
    coloured = iris * ((0.85 + 0.4 * fibres) * (1 - 0.7 * ramp(0.33, 0.42, angle)))[:, None]
    mixed = white + (coloured - white) * ramp(0.44, 0.40, angle)[:, None]
    return mixed + (0.006 - mixed) * ramp(0.17, 0.14, angle)[:, None]
