"""One image: pose the scene, fold the crop into the camera, see, shade, develop, and keep what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from fsbench.datasets.synthetic.asset import BODY, LASHES, load_asset
from fsbench.datasets.synthetic.background import REACH, paint_background
from fsbench.datasets.synthetic.geometry import LANDMARKS_68, Camera, Pose, crop_camera, five_points, frame_camera
from fsbench.datasets.synthetic.hair import make_strands, paint_hair
from fsbench.datasets.synthetic.mesh import Mesh, build_mesh
from fsbench.datasets.synthetic.people import Person, sample_person
from fsbench.datasets.synthetic.scenes import EXACT, Change, Hair, Session, Shot, gaze_actions, with_hair_of
from fsbench.datasets.synthetic.shade import Surface, direction, radiance, shadow
from fsbench.datasets.synthetic.surface import Hits, find_hits, inside_mouth, make_surface
from fsbench.datasets.synthetic.texture import COVER, GLOSS, RELIEF, face_weight, paint_skin
from fsbench.faces.raster import pick, rasterise

VERSION = 2
"""Raised whenever the same request would give other pixels."""
Swap = Literal["face", "head"]
Framing = Literal["crop", "frame"]
_HEAD_MIDDLE = (0.0, -0.1, -0.4)


@dataclass(frozen=True)
class Drawing:
    """An image and what is known about each of its pixels and points."""

    image: Tensor  # (3, S, S) display RGB in [0, 1]
    face: Tensor  # (1, S, S) share of the pixel that is face
    landmarks: Tensor  # (68, 2) pixels
    five: Tensor  # (5, 2) pixels
    vertices: Tensor  # (V, 3) of the head's mesh: pixels, and depth in decimetres
    depth: Tensor  # (S, S) decimetres from the camera, infinite on the background
    normal: Tensor  # (3, S, S) unit, camera axes, zero on the background
    albedo: Tensor  # (3, S, S) linear
    camera: Camera


class Renderer:
    """Draws people on a device; what belongs to a person or a session is kept between images."""

    def __init__(
        self, device: torch.device, size: int = 128, *, supersample: int = 2, jitter: float = 0.0, margin: int = 0
    ) -> None:
        """`size` pixels a side of a crop, `jitter` the alignment error as a share of it, `margin` pixels around it."""
        self.asset = load_asset(device)
        self.size, self.supersample, self.jitter, self.margin = size + 2 * margin, supersample, jitter, margin
        size = self.size
        fine = size * supersample
        self._map_height = 256 if fine <= 320 else 512 if fine <= 640 else 1024
        number = {int(base): k for k, base in enumerate(self.asset.base_ids)}
        self._landmarks = torch.tensor([number[vertex] for vertex in LANDMARKS_68], device=device)
        self._face_share = face_weight(self.asset.canonical)[:, None]
        parts = self.asset.parts
        self._lashes = self.asset.faces[(parts == LASHES + 1) | (parts == LASHES + 3)]  # of the upper lids
        self._neutral = lru_cache(16)(lambda person: self.asset.neutral(person.shape))
        self._skin = lru_cache(8)(lambda person: paint_skin(self.asset, person, self._map_height))
        self._map = lru_cache(4)(self._paint_map)
        self._strands = lru_cache(4)(lambda hair: make_strands(self.asset, hair))
        self._background = lru_cache(4)(self._load_background)

    def person(self, seed: int) -> Person:
        """Return the person of a seed."""
        return sample_person(tuple(self.asset.names), seed)

    def draw(
        self,
        session: Session,
        shot: Shot,
        owner: Person,
        face: Person | None = None,
        *,
        swap: Swap = "face",
        framing: Framing = "crop",
        change: Change = EXACT,
    ) -> Drawing:
        """Draw `owner` in a session; with another `face`, the swap of that person into the same image.

        A face swap takes shape and skin inside the face region from `face`; a head swap takes the whole head and its
        hair. Both leave pose, expression, light, clothes, glasses, background and crop as they are without a swap. It
        is exact but for `change`, which does not move the crop.
        """
        face = face or owner
        shown = change.of(shot)
        own = self._expressed(owner, shown)
        rest = own
        if face is not owner:
            share = self._face_share if swap == "face" else torch.ones_like(self._face_share)
            rest = torch.lerp(own, self._expressed(face, shown), share * change.shape)
            session = with_hair_of(face, session) if swap == "head" and change.texture >= 0.5 else session
        camera = frame_camera(session, self.size)
        weight, before, pose = self.asset.head_weight[self._landmarks], Pose.of(shot, rest), Pose.of(shown, rest)
        if framing == "crop":
            aligned = five_points(before.apply(self._expressed(owner, shot)[self._landmarks], weight))
            camera = crop_camera(camera, aligned, self.size - 2 * self.margin, shot, self.jitter).moved(self.margin)
        if shown != shot:  # turn on the spot: the five points keep their middle
            points = own[self._landmarks]
            moved = five_points(before.apply(points, weight) - pose.apply(points, weight)).mean(0)
            pose = replace(pose, shift=moved)
        mesh = build_mesh(self.asset, rest, pose, self._strands(session.hair), session, shown, self._landmarks)
        fine, side = camera.scaled(self.supersample), self.size * self.supersample
        screen = fine.project(mesh.position)
        hits = find_hits(mesh, screen, side, session.hair)
        skin_map = self._map(face, owner, session.hair, swap, change.texture)
        worn = _mix_eyes(owner, face, change.texture)
        surface = make_surface(self.asset, mesh, hits, skin_map, session, worn, owner, fine)
        picture = self._backdrop(camera, side, session)
        picture[hits.pixels] = self._light(mesh, surface, session)
        lashes = [0.6 if person.male else 0.35 for person in (owner, face)]
        self._draw_lashes(picture, mesh, screen, hits, lashes[0] + (lashes[1] - lashes[0]) * change.texture)
        return self._describe(self._develop(picture, side, session, shot), mesh, hits, surface, camera)

    def _expressed(self, person: Person, shot: Shot) -> Tensor:
        """The head at rest with the shot's expression and gaze, (V, 3)."""
        neutral: Tensor = self._neutral(person)
        actions = {**shot.actions, **gaze_actions(shot.gaze)}
        numbers = [self.asset.number[f"action/{name}"] for name, value in actions.items() if value]
        values = neutral.new_tensor([value for value in actions.values() if value])
        targets = self.asset.targets[torch.tensor(numbers, dtype=torch.int64, device=neutral.device)]
        return neutral + torch.einsum("k,kvd->vd", values, targets)

    def _paint_map(self, face: Person, owner: Person, hair: Hair, swap: Swap, texture: float) -> Tensor:
        """The skin map of a share of a face on an owner's head under a head of hair, (6, H, W)."""
        texels = self.asset.texels(self._map_height)
        skin: Tensor = self._skin(face)
        if face is not owner:
            share = face_weight(texels.position) if swap == "face" else torch.ones_like(texels.position[:, 0])
            skin = torch.lerp(self._skin(owner), skin, texture * share[texels.fill].view(1, *skin.shape[1:]))
        cover, colour = paint_hair(texels, hair)
        cover, colour = cover[texels.fill].view(1, *skin.shape[1:]), colour.T[:, texels.fill].view(3, *skin.shape[1:])
        painted = skin.clone()
        painted[:3] = torch.lerp(skin[:3], colour, cover)
        painted[[GLOSS, RELIEF]] *= 1 - cover
        painted[COVER] = cover[0]
        return painted

    def _light(self, mesh: Mesh, surface: Surface, session: Session) -> Tensor:
        towards = direction(session.light.azimuth, session.light.elevation, surface.position)
        middle = surface.position.new_tensor(_HEAD_MIDDLE)
        lit = shadow(mesh.position, mesh.casting, middle, towards, surface.position, surface.normal)
        return radiance(surface, session.light, lit)

    def _draw_lashes(self, picture: Tensor, mesh: Mesh, screen: Tensor, hits: Hits, light_left: float) -> None:
        """Darken the pixels behind the upper lashes."""
        lash = rasterise(screen, self._lashes, hits.side, cull=False)
        over = (lash >= 0).nonzero()[:, 0]
        seen = torch.full_like(picture[:, 0], -torch.inf)  # z, which points at the camera
        seen[hits.pixels] = hits.position[:, 2]
        height = mesh.position[:, 2][self._lashes[lash[over]]].mean(1)
        picture[over[height > seen[over] - 0.03]] *= light_left

    def _load_background(self, seed: int) -> Tensor:
        return torch.from_numpy(paint_background(seed)).to(self.asset.device).permute(2, 0, 1)[None]

    def _backdrop(self, camera: Camera, side: int, session: Session) -> Tensor:
        """The session's background as the camera sees it, (side * side, 3); blurred, so one sample a pixel does."""
        step = torch.arange(self.size, device=self.asset.device) + 0.5
        where = camera.to_frame(torch.stack([step.repeat(self.size), step.repeat_interleave(self.size)], 1)) / REACH
        found = grid_sample(
            self._background(session.background),
            where.view(1, self.size, self.size, 2),
            align_corners=False,
            padding_mode="reflection",
        )
        fine = found.repeat_interleave(self.supersample, 2).repeat_interleave(self.supersample, 3)
        return fine[0].view(3, side * side).T.contiguous()

    def _develop(self, radiant: Tensor, side: int, session: Session, shot: Shot) -> Tensor:
        """Linear radiance at the fine resolution -> display RGB: pooled, exposed, tone curve, gamma, sensor noise."""
        linear = avg_pool2d((radiant * session.exposure).T.reshape(1, 3, side, side), self.supersample)[0]
        shown = (linear * 1.12 / (1 + 0.28 * linear)).clamp(min=0) ** (1 / 2.2)
        grain = np.random.default_rng([shot.seed, 11]).standard_normal(shown.shape, np.float32)
        return (shown + torch.from_numpy(grain).to(shown.device) * session.noise).clamp(0, 1)

    def _describe(self, image: Tensor, mesh: Mesh, hits: Hits, surface: Surface, camera: Camera) -> Drawing:
        face = (hits.part < LASHES) & (
            (face_weight(hits.canonical) > 0.1) | (hits.part != BODY) | inside_mouth(self.asset, mesh, hits)
        )
        share = image.new_zeros(1, 1, hits.side, hits.side)
        share.view(-1)[hits.pixels] = face * (1 - surface.hair)
        step = self.supersample  # buffers hold the middle sample of a pixel: they do not average
        row, column = hits.pixels // hits.side, hits.pixels % hits.side
        middle = ((row % step == step // 2) & (column % step == step // 2)).nonzero()[:, 0]
        pixel = pick(row // step * self.size + column // step, middle)

        def buffer(values: Tensor, empty: float) -> Tensor:
            full = values.new_full((self.size**2, values.shape[1]), empty)
            full[pixel] = pick(values, middle)
            return full.T.reshape(-1, self.size, self.size)

        projected = camera.project(mesh.position[: len(self.asset.vertices)])
        landmarks = projected[self._landmarks, :2]
        _, depth = camera.frame_points(hits.position)
        return Drawing(
            image,
            avg_pool2d(share, step)[0],
            landmarks,
            five_points(landmarks),
            torch.cat([projected[:, :2], 1 / projected[:, 2:]], 1),
            buffer(depth[:, None], float("inf"))[0],
            buffer(surface.normal, 0.0),
            buffer(surface.albedo, 0.0),
            camera,
        )


def _mix_eyes(owner: Person, face: Person, texture: float) -> Person:
    """The person whose irises and gloss lie so far between two people's; the pattern of an iris is the nearer one's."""
    if texture in (0, 1):
        return face if texture else owner
    iris = [a + (b - a) * texture for a, b in zip(owner.iris, face.iris, strict=True)]
    return replace(
        face if texture >= 0.5 else owner,
        iris=(iris[0], iris[1], iris[2]),
        roughness=owner.roughness + (face.roughness - owner.roughness) * texture,
    )
