"""What every pixel sees: the nearest triangle, and the material there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from fsbench.datasets.synthetic.asset import BODY, LEFT_EYE, RIGHT_EYE, TONGUE, UPPER_TEETH, Asset
from fsbench.datasets.synthetic.geometry import Camera
from fsbench.datasets.synthetic.hair import look_up, strand_colour
from fsbench.datasets.synthetic.mesh import HAIR, PROP, Mesh
from fsbench.datasets.synthetic.people import Person
from fsbench.datasets.synthetic.scenes import Hair, Session
from fsbench.datasets.synthetic.shade import Surface, paint_eyes
from fsbench.datasets.synthetic.texture import COVER, GLOSS, RELIEF, noise, ramp
from fsbench.faces.raster import Opaque, gather, pick, rasterise, weights_at


@dataclass(frozen=True)
class Hits:
    """The P pixels that see something solid."""

    side: int  # of the picture, in pixels
    pixels: Tensor  # (P,) into side * side
    triangle: Tensor  # (P,)
    corners: Tensor  # (P, 3) vertices
    weights: Tensor  # (P, 3)
    part: Tensor  # (P,)
    position: Tensor  # (P, 3)
    normal: Tensor  # (P, 3) unit
    canonical: Tensor  # (P, 3) of the head; of a prop, its colour
    occlusion: Tensor  # (P,)
    strand: Tensor  # (P, 3) unit where there is hair, else zero

    def of(self, part: int) -> Tensor:
        """Which of them see a part, (Q,)."""
        return (self.part == part).nonzero()[:, 0]


def find_hits(mesh: Mesh, screen: Tensor, side: int, hair: Hair) -> Hits:
    """Look at a mesh whose vertices stand at `screen` (V, 3)."""
    nearest = rasterise(screen, mesh.faces, side, opaque=_strands_test(mesh, hair))
    pixels = (nearest >= 0).nonzero()[:, 0]
    triangle = pick(nearest, pixels)
    corners = pick(mesh.faces, triangle)
    weights = weights_at(screen, corners, pixels, side)
    found = gather(mesh.table, corners, weights)
    position, normal, canonical, occlusion, strand = found.split_with_sizes([3, 3, 3, 1, 3], 1)
    return Hits(
        side,
        pixels,
        triangle,
        corners,
        weights,
        pick(mesh.part, triangle),
        position,
        normalize(normal, dim=1),
        canonical,
        occlusion[:, 0],
        normalize(strand, dim=1),
    )


def _strands_test(mesh: Mesh, hair: Hair) -> Opaque | None:
    strands = mesh.strands
    if strands is None:
        return None
    first, last = mesh.n_head, mesh.n_head + len(strands.faces)
    table = torch.cat([strands.chart, strands.threshold[:, None]], 1)

    def opaque(triangle: Tensor, weights: Tensor) -> Tensor:
        seen = torch.ones_like(triangle, dtype=torch.bool)
        index = ((triangle >= first) & (triangle < last)).nonzero()[:, 0]
        found = gather(table, pick(strands.faces, pick(triangle, index) - first), pick(weights, index))
        seen[index] = look_up(found[:, :2], hair)[:, 0] > found[:, 2]
        return seen

    return opaque


def inside_mouth(asset: Asset, mesh: Mesh, hits: Hits) -> Tensor:
    """(P,) bool: the lining of mouth and eye sockets."""
    return (hits.part == BODY) & pick(asset.inside, pick(mesh.head_faces, hits.triangle.clamp(max=mesh.n_head - 1)))


def make_surface(
    asset: Asset,
    mesh: Mesh,
    hits: Hits,
    skin_map: Tensor,
    session: Session,
    face: Person,
    owner: Person,
    camera: Camera,
) -> Surface:
    """Give every hit its material; `skin_map` (6, H, W) is the map of the face shown, on the owner's head."""
    zero = torch.zeros_like(hits.occlusion)
    surface = Surface(
        position=hits.position,
        normal=hits.normal,
        view=normalize(hits.position.new_tensor(camera.eye) - hits.position, dim=1),
        albedo=torch.zeros_like(hits.position),
        occlusion=hits.occlusion.clone(),
        gloss=zero.clone(),
        skin=zero.clone(),
        hair=zero.clone(),
        strand=hits.strand,
        eye=((hits.part == LEFT_EYE) | (hits.part == RIGHT_EYE)).float(),
        roughness=face.roughness,
    )
    relief = _cover_with_skin(asset, mesh, hits, surface, skin_map, owner)
    _dress(hits, surface, session)
    _fill_mouth(hits, surface)
    index = surface.eye.nonzero()[:, 0]
    left = pick(hits.part, index) == LEFT_EYE
    surface.albedo[index] = paint_eyes(
        pick(hits.canonical, index), left, asset.eye_centres, hits.position.new_tensor(face.iris), face.seed
    )
    surface.occlusion[index] = surface.occlusion[index].clamp(min=0.3)
    index = hits.of(HAIR)
    if mesh.strands is not None:
        corners = pick(mesh.strands.faces, pick(hits.triangle, index) - mesh.n_head)
        height, shade = look_up(gather(mesh.strands.chart, corners, pick(hits.weights, index)), session.hair).unbind(1)
        surface.albedo[index] = strand_colour(session.hair, 0.6 * shade + 0.4 * height)
        surface.hair[index] = 1
    index = hits.of(PROP)
    surface.albedo[index], surface.gloss[index] = pick(hits.canonical, index), 1.5
    surface.skin = surface.skin * (1 - surface.hair)
    surface.normal = _emboss(hits, relief, camera)
    return surface


def _cover_with_skin(asset: Asset, mesh: Mesh, hits: Hits, surface: Surface, skin_map: Tensor, owner: Person) -> Tensor:
    """Look the skin up in its map, beyond which is plain skin or the inside of the mouth; return the relief (P,)."""
    relief = torch.zeros_like(hits.occlusion)
    body = hits.of(BODY)
    triangle = pick(mesh.head_faces, pick(hits.triangle, body))
    charted = pick(asset.in_chart, triangle)
    index, triangle, beyond = body[charted], triangle[charted], body[~charted]
    inner = pick(asset.inside, pick(mesh.head_faces, pick(hits.triangle, beyond)))
    where = gather(asset.chart, pick(asset.chart_faces, triangle), pick(hits.weights, index))
    where = (where * 2 - 1)[None, None]
    found = grid_sample(skin_map[None], where, align_corners=False, padding_mode="border")[0, :, 0]
    surface.albedo[index], surface.gloss[index], surface.hair[index] = found[:3].T, found[GLOSS], found[COVER]
    surface.skin[index], relief[index] = 1, found[RELIEF]
    red, plain = surface.albedo.new_tensor([0.16, 0.04, 0.04]), surface.albedo.new_tensor(owner.skin)
    surface.albedo[beyond] = torch.where(inner[:, None], red, plain)
    surface.skin[beyond], surface.gloss[beyond] = (~inner).float(), 0.6
    depth = ramp(0.0, 0.3, pick(hits.canonical, beyond)[:, 2])
    surface.occlusion[beyond] *= torch.where(inner, 0.2 + 0.8 * depth, 1.0)
    return relief


def _dress(hits: Hits, surface: Surface, session: Session) -> None:
    """Clothes below a neckline that dips in front."""
    index = ((hits.part == BODY) & (hits.canonical[:, 1] < -1.2)).nonzero()[:, 0]
    point = pick(hits.canonical, index)
    x, y, z = point.unbind(1)
    cloth = ramp(-0.03, 0.03, -(y + 1.85 + session.neckline - 0.3 * (z + 0.3).clamp(min=0) - 0.12 * x.abs()))
    dyed = point.new_tensor(session.cloth) * (1 + 0.12 * noise(point, 50.0, 3))[:, None]
    surface.albedo[index] = torch.lerp(surface.albedo[index], dyed, cloth[:, None])
    surface.skin[index] *= 1 - cloth
    surface.gloss[index] *= 1 - cloth


def _fill_mouth(hits: Hits, surface: Surface) -> None:
    """Teeth with gaps along their arch, a tongue, and darkness further in."""
    index = ((hits.part >= UPPER_TEETH) & (hits.part <= TONGUE)).nonzero()[:, 0]
    point, tongue = pick(hits.canonical, index), pick(hits.part, index) == TONGUE
    arch = torch.atan2(point[:, 0], point[:, 2] + 0.35) * 14
    gaps = 1 - 0.35 * torch.exp(-(((torch.remainder(arch, 1) - 0.5) / 0.12) ** 2))
    enamel = point.new_tensor([0.62, 0.56, 0.46]) * gaps[:, None]
    surface.albedo[index] = torch.where(tongue[:, None], point.new_tensor([0.36, 0.11, 0.10]), enamel)
    surface.occlusion[index] = 0.55 * (0.2 + 0.8 * ramp(-0.1, 0.25, point[:, 2]))
    surface.gloss[index] = 0.8


def _emboss(hits: Hits, relief: Tensor, camera: Camera) -> Tensor:
    """Tilt normals by the slope of the relief (P,), measured between neighbouring pixels."""
    height = relief.new_zeros(hits.side * hits.side)
    height[hits.pixels] = relief
    grid = height.view(hits.side, hits.side)
    across, down = ((torch.roll(grid, -1, axis) - torch.roll(grid, 1, axis)).view(-1) for axis in (1, 0))
    plane = camera.plane[:, :2]
    turn = relief.new_tensor(plane / np.sqrt(abs(np.linalg.det(plane))))  # from the crop's axes to the camera's
    slope = torch.stack([pick(across, hits.pixels), pick(down, hits.pixels)], 1) @ turn / (2 * camera.pixel)
    tilt = torch.stack([slope[:, 0], -slope[:, 1], torch.zeros_like(relief)], 1)
    return normalize(hits.normal - 0.8 * tilt, dim=1)
