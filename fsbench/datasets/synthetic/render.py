"""One image: assemble the scene, find what every pixel sees, shade it, and keep what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, normalize

from fsbench.datasets.synthetic import hair as hairdo
from fsbench.datasets.synthetic import props
from fsbench.datasets.synthetic.asset import BODY, LASHES, LEFT_EYE, LOWER_TEETH, RIGHT_EYE, TONGUE, UPPER_TEETH, load_asset
from fsbench.datasets.synthetic.background import REACH, paint_background
from fsbench.datasets.synthetic.geometry import LANDMARKS_68, Camera, Pose, crop_camera, five_points, frame_camera
from fsbench.datasets.synthetic.people import Person, sample_person
from fsbench.datasets.synthetic.raster import gather, pick, rasterise, weights_at
from fsbench.datasets.synthetic.scenes import Session, Shot, gaze_actions
from fsbench.datasets.synthetic.shade import Surface, direction, paint_eyes, radiance, shadow
from fsbench.datasets.synthetic.texture import GLOSS, HAIR, RELIEF, face_weight, noise, paint_skin, ramp

VERSION = 1
"""Raised whenever the same request would give other pixels."""
HAIR_PART, PROP_PART = 20, 21                           # after the parts of the asset
Swap = Literal["face", "head"]
Framing = Literal["crop", "frame"]


@dataclass(frozen=True)
class Drawing:
    """An image and what is known about each of its pixels and points; buffers are at image size."""

    image: Tensor                                       # (3, S, S) display RGB in [0, 1]
    face: Tensor                                        # (1, S, S) share of the pixel that is face
    landmarks: Tensor                                   # (68, 2) pixels
    five: Tensor                                        # (5, 2) pixels
    vertices: Tensor                                    # (V, 3) of the head's mesh: pixels, and depth in decimetres
    depth: Tensor                                       # (S, S) decimetres from the camera, infinite on the background
    normal: Tensor                                      # (3, S, S) unit, camera axes
    albedo: Tensor                                      # (3, S, S) linear
    camera: Camera


@dataclass
class _Mesh:
    """Everything solid in a scene, posed; tables are per vertex."""

    position: Tensor                                    # (V, 3)
    normal: Tensor                                      # (V, 3)
    canonical: Tensor                                   # (V, 3) of the head; of props, their colour
    occlusion: Tensor                                   # (V,)
    faces: Tensor                                       # (T, 3)
    part: Tensor                                        # (T,)
    n_head: int                                         # triangles of the head's own mesh, which come first
    strands: hairdo.Strands | None
    strand: Tensor                                      # (V, 3) direction of hair, posed
    blocks: Tensor                                      # triangles after the head's that cast a shadow


class Renderer:
    """Draws people; what belongs to a person or a session is kept between images."""

    def __init__(self, device: torch.device, size: int = 128, *, supersample: int = 2, jitter: float = 0.0) -> None:
        self.asset = load_asset(device)
        self.device, self.size, self.supersample, self.jitter = device, size, supersample, jitter
        self.map_height = 256 if size * supersample <= 320 else 512 if size * supersample <= 800 else 1024
        position = {int(base): k for k, base in enumerate(self.asset.base_ids)}
        self.landmark_vertices = torch.tensor([position[vertex] for vertex in LANDMARKS_68], device=device)
        self.face_share = face_weight(self.asset.canonical)[:, None]
        self.seen = (self.asset.parts < LASHES).nonzero()[:, 0]
        self.lashes = self.asset.faces[(self.asset.parts == LASHES + 1) | (self.asset.parts == LASHES + 3)]
        self.blockers = self.asset.faces[(self.asset.parts == BODY)]
        self._neutral = lru_cache(16)(lambda person: self.asset.neutral(person.shape))
        self._skin = lru_cache(8)(lambda person: paint_skin(self.asset, person, self.map_height))
        self._map = lru_cache(2)(self._paint)
        self._strands = lru_cache(4)(lambda hair: hairdo.make_strands(self.asset, hair))
        self._background = lru_cache(4)(lambda seed: torch.from_numpy(paint_background(seed)).to(device).permute(2, 0, 1)[None])

    def person(self, seed: int) -> Person:
        """Return the person of a seed."""
        return sample_person(tuple(self.asset.names), seed)

    # ------------------------------------------------------------------------------------------------ geometry

    def _expressed(self, person: Person, shot: Shot) -> Tensor:
        """The head at rest with the shot's expression and gaze."""
        actions = {**shot.actions, **gaze_actions(shot.gaze)}
        used = [(self.asset.number[f"action/{name}"], value) for name, value in actions.items() if value]
        neutral = self._neutral(person)
        if not used:
            return neutral
        numbers, values = zip(*used, strict=True)
        targets = self.asset.targets[torch.tensor(numbers, device=self.device)]
        return neutral + torch.einsum("k,kvd->vd", neutral.new_tensor(values), targets)

    def _mesh(self, rest: Tensor, pose: Pose, session: Session, shot: Shot) -> _Mesh:
        asset = self.asset
        weight = asset.head_weight
        posed = pose.apply(rest, weight)
        normal = asset.normals(posed)
        tables = [(posed, normal, asset.canonical, asset.occlusion, normal * 0)]
        faces, parts = [asset.faces[self.seen]], [asset.parts[self.seen]]
        count = len(posed)
        strands = self._strands(session.hair)
        if strands is not None:
            points, outward, along = hairdo.place_strands(strands, rest, asset.normals(rest), asset.canonical, session.hair)
            w = torch.ones_like(points[:, :1])          # long hair hangs from the head, and follows it less below
            w[: len(strands.lift)] = weight[strands.root].repeat(len(strands.lift) // len(strands.root), 1)
            w[len(strands.lift):] -= ramp(-0.6, -2.4, points[len(strands.lift):, 1:2]) * 0.7
            tables.append((pose.apply(points, w), pose.turn(outward, w), points * 0, strands.occlusion, pose.turn(along, w)))
            faces.append(strands.faces + count)
            parts.append(torch.full((len(strands.faces),), HAIR_PART, device=self.device))
            count += len(points)
        prop = self._prop(rest, session, shot)
        if prop is not None:
            points, triangles = torch.from_numpy(prop.vertices).to(self.device), torch.from_numpy(prop.faces).to(self.device)
            ones = torch.ones_like(points[:, :1])
            posed_prop = pose.apply(points, ones)
            from fsbench.datasets.synthetic.asset import vertex_normals
            tables.append((posed_prop, vertex_normals(posed_prop, triangles), torch.from_numpy(prop.albedo).to(self.device),
                           0.7 * ones[:, 0], points * 0))
            faces.append(triangles + count)
            parts.append(torch.full((len(triangles),), PROP_PART, device=self.device))
        position, normal, canonical, occlusion, strand = (torch.cat(column) for column in zip(*tables, strict=True))
        part = torch.cat(parts)
        blocks = torch.ones_like(part[len(self.seen):], dtype=torch.bool)
        if strands is not None:
            blocks[: len(strands.faces)] = strands.shadow
        return _Mesh(position, normal, canonical, occlusion, torch.cat(faces), part, len(self.seen), strands, strand, blocks)

    def _prop(self, rest: Tensor, session: Session, shot: Shot) -> props.Prop | None:
        if not (session.glasses or shot.occluder):
            return None
        points = rest[self.landmark_vertices].double().cpu().numpy()
        rng = np.random.default_rng([shot.seed, 9])
        parts = []
        if session.glasses:
            tint = np.random.default_rng([session.seed, 10]).uniform(0.01, 0.12, 3)
            eyes = np.stack([points[42:48].mean(0), points[36:42].mean(0)])
            half = float(np.abs(points[[0, 16], 0]).mean())
            parts.append(props.spectacles(session.glasses, eyes, points[27], half, (tint[0], tint[1], tint[2])))
        if shot.occluder == "microphone":
            parts.append(props.microphone(points[62], rng))
        if shot.occluder == "hand":
            parts.append(props.hand(points[62], (0.35, 0.2, 0.14), rng))
        return props.join(parts)

    # ------------------------------------------------------------------------------------------------- surface

    def _paint(self, face: Person, owner: Person, session: Session, swap: Swap) -> Tensor:
        """The skin map of a face on an owner's head under the session's hair, (6, H, W)."""
        texels = self.asset.texels(self.map_height)
        skin = self._skin(face)
        if face is not owner and swap == "face":
            share = face_weight(texels.position)[texels.fill].reshape(1, *skin.shape[1:])
            skin = torch.lerp(self._skin(owner), skin, share)
        cover, colour = hairdo.paint_hair(texels, session.hair)
        cover, colour = cover[texels.fill].reshape(1, *skin.shape[1:]), colour.T[:, texels.fill].reshape(3, *skin.shape[1:])
        out = skin.clone()
        out[:3] = torch.lerp(skin[:3], colour, cover)
        out[GLOSS:RELIEF + 1] *= 1 - cover
        out[HAIR] = cover[0]
        return out

    def draw(self, session: Session, shot: Shot, owner: Person, face: Person | None = None, *, swap: Swap = "face",
             framing: Framing = "crop") -> Drawing:
        """Draw `owner` in a session; with another `face`, the exact swap of that person into the same image."""
        face = face or owner
        own = self._expressed(owner, shot)
        rest = own
        if face is not owner:
            other = self._expressed(face, shot)
            rest = torch.lerp(own, other, self.face_share) if swap == "face" else other
        pose = Pose.of(shot, rest)
        weight = self.asset.head_weight[self.landmark_vertices]
        camera = frame_camera(session, self.size)
        if framing == "crop":
            aligned = five_points(pose.apply(own[self.landmark_vertices], weight))
            camera = crop_camera(camera, aligned, self.size, shot, self.jitter)
        mesh = self._mesh(rest, pose, session, shot)
        return self._draw(mesh, camera, session, shot, owner, face, swap)

    def _draw(self, mesh: _Mesh, camera: Camera, session: Session, shot: Shot, owner: Person, face: Person, swap: Swap) -> Drawing:
        fine = camera.scaled(self.supersample)
        side = self.size * self.supersample
        screen = fine.project(mesh.position)
        nearest = self._visible(mesh, screen, side, session)
        pixels = (nearest >= 0).nonzero()[:, 0]
        triangle = pick(nearest, pixels)
        corners = pick(mesh.faces, triangle)
        weights = weights_at(screen, corners, pixels, side)
        part = pick(mesh.part, triangle)
        table = torch.cat([mesh.position, mesh.normal, mesh.canonical, mesh.occlusion[:, None], mesh.strand], 1)
        at = gather(table, corners, weights)
        position, normal, canonical, occlusion, strand = at.split([3, 3, 3, 1, 3], 1)
        surface = self._surface(mesh, session, face, owner, swap, fine, side, pixels, triangle, corners, weights, part,
                                position, normalize(normal, dim=1), canonical, occlusion[:, 0], normalize(strand, dim=1))
        centre = position.new_tensor((0.0, -0.1, -0.4))
        towards = direction(session.light.azimuth, session.light.elevation, position)
        blocking = torch.cat([self.blockers, mesh.faces[mesh.n_head:][mesh.blocks]])
        lit = shadow(mesh.position, blocking, centre, towards, surface.position, surface.normal)
        colour = radiance(surface, session.light, lit)
        full = self._backdrop(fine, side, session)
        full[pixels] = colour
        lash = rasterise(screen, self.lashes, side, cull=False)
        over = (lash >= 0).nonzero()[:, 0]
        lash_near = screen[self.lashes[lash[over]], 2].mean(1)
        near = torch.zeros(side * side, device=self.device)
        near[pixels] = (screen[corners, 2] * weights).sum(1)
        over = over[lash_near > near[over] - 2e-4]
        full[over] *= 0.6 if face.male else 0.35
        image = self._develop(full, side, session, shot)
        inside = (part == BODY) & pick(self.asset.inside, pick(self.seen, triangle.clamp(max=mesh.n_head - 1)))
        return self._gather_truth(image, mesh, camera, side, pixels, part, position, surface, canonical, inside)

    def _visible(self, mesh: _Mesh, screen: Tensor, side: int, session: Session) -> Tensor:
        strands = mesh.strands
        if strands is None:
            return rasterise(screen, mesh.faces, side)
        last_head, last_hair = mesh.n_head, mesh.n_head + len(strands.faces)
        table = torch.cat([strands.chart, strands.threshold[:, None]], 1)

        def opaque(triangle: Tensor, weights: Tensor) -> Tensor:
            seen = torch.ones_like(triangle, dtype=torch.bool)
            index = ((triangle >= last_head) & (triangle < last_hair)).nonzero()[:, 0]
            corners = pick(strands.faces, pick(triangle, index) - last_head)
            found = gather(table, corners, pick(weights, index))
            seen[index] = hairdo.look_up(found[:, :2], session.hair)[:, 0] > found[:, 2]
            return seen

        return rasterise(screen, mesh.faces, side, opaque=opaque)

    def _surface(self, mesh: _Mesh, session: Session, face: Person, owner: Person, swap: Swap, camera: Camera, side: int,
                 pixels: Tensor, triangle: Tensor, corners: Tensor, weights: Tensor, part: Tensor, position: Tensor,
                 normal: Tensor, canonical: Tensor, occlusion: Tensor, strand: Tensor) -> Surface:
        asset = self.asset
        maps = self._map(face, owner, session, swap)
        gloss, relief, hair = torch.zeros_like(occlusion), torch.zeros_like(occlusion), torch.zeros_like(occlusion)
        albedo = torch.zeros_like(position)
        skin = torch.zeros_like(occlusion)
        head = (part == BODY).nonzero()[:, 0]
        own = pick(self.seen, pick(triangle, head))
        charted = pick(asset.in_chart, own)
        onmap = head[charted]
        where = gather(asset.chart, pick(asset.chart_faces, own[charted]), pick(weights, onmap))
        found = grid_sample(maps[None], (where * 2 - 1)[None, None], align_corners=False, padding_mode="border")[0, :, 0]
        albedo[onmap], gloss[onmap], relief[onmap], hair[onmap] = found[:3].T, found[GLOSS], found[RELIEF], found[HAIR]
        skin[onmap] = 1
        rest = head[~charted]
        if len(rest):
            inner = asset.inside[own[~charted]]
            colour = torch.where(inner[:, None], albedo.new_tensor([0.16, 0.04, 0.04]), albedo.new_tensor(owner.skin))
            albedo[rest], skin[rest], gloss[rest] = colour, (~inner).float(), 0.6
            depth = ramp(0.0, 0.3, canonical[rest, 2])
            occlusion[rest] *= torch.where(inner, 0.2 + 0.8 * depth, 1.0)
        below = (canonical[head, 1] < -1.3).nonzero()[:, 0]
        if len(below):
            index = head[below]
            x, y, z = canonical[index].unbind(1)
            cloth = ramp(-0.03, 0.03, -(y + 1.85 + session.neckline - 0.3 * (z + 0.3).clamp(min=0) - 0.12 * x.abs()))
            dyed = albedo.new_tensor(session.cloth) * (1 + 0.12 * noise(canonical[index], 50.0, 3))[:, None]
            albedo[index] = torch.lerp(albedo[index], dyed, cloth[:, None])
            skin[index] *= 1 - cloth
            gloss[index] *= 1 - cloth
        self._mouth(part, canonical, albedo, occlusion, gloss)
        eye = (part == LEFT_EYE) | (part == RIGHT_EYE)
        index = eye.nonzero()[:, 0]
        if len(index):
            albedo[index] = paint_eyes(canonical[index], part[index] == LEFT_EYE, asset.eye_centres,
                                       albedo.new_tensor(face.iris), face.seed)
            occlusion[index] = occlusion[index].clamp(min=0.3)
        index = (part == HAIR_PART).nonzero()[:, 0]
        if len(index) and mesh.strands is not None:
            corner = mesh.strands.faces[triangle[index] - mesh.n_head]
            chart = gather(mesh.strands.chart, corner, weights[index])
            height, shade = hairdo.look_up(chart, session.hair).unbind(1)
            albedo[index] = hairdo.strand_colour(session.hair, 0.6 * shade + 0.4 * height)
            hair[index] = 1
        index = (part == PROP_PART).nonzero()[:, 0]
        albedo[index], gloss[index] = canonical[index], 1.5
        normal = self._emboss(normal, relief, pixels, side, camera)
        view = normalize(position.new_tensor(camera.eye) - position, dim=1)
        return Surface(position, normal, view, albedo, occlusion, gloss, skin * (1 - hair), hair, strand, eye.float(),
                       face.roughness)

    def _mouth(self, part: Tensor, canonical: Tensor, albedo: Tensor, occlusion: Tensor, gloss: Tensor) -> None:
        index = ((part >= UPPER_TEETH) & (part <= TONGUE)).nonzero()[:, 0]
        if len(index) == 0:
            return
        point, kind = canonical[index], part[index]
        teeth = (kind != TONGUE)[:, None]
        arc = torch.atan2(point[:, 0], point[:, 2] + 0.35) * 14
        gap = 1 - 0.35 * torch.exp(-((torch.remainder(arc, 1) - 0.5) / 0.12) ** 2)[:, None]
        albedo[index] = torch.where(teeth, albedo.new_tensor([0.62, 0.56, 0.46]) * gap, albedo.new_tensor([0.36, 0.11, 0.10]))
        occlusion[index] = 0.55 * (0.2 + 0.8 * ramp(-0.1, 0.25, point[:, 2]))
        gloss[index] = 0.8

    def _emboss(self, normal: Tensor, relief: Tensor, pixels: Tensor, side: int, camera: Camera) -> Tensor:
        """Tilt normals by the slope of the relief, measured between neighbouring pixels."""
        height = torch.zeros(side * side, device=self.device)
        height[pixels] = relief
        grid = height.view(side, side)
        across = pick((torch.roll(grid, -1, 1) - torch.roll(grid, 1, 1)).view(-1), pixels)
        down = pick((torch.roll(grid, -1, 0) - torch.roll(grid, 1, 0)).view(-1), pixels)
        turn = normal.new_tensor(camera.plane[:, :2] / np.sqrt(abs(np.linalg.det(camera.plane[:, :2]))))
        slope = torch.stack([across, down], 1) @ turn / (2 * camera.pixel)
        return normalize(normal - torch.stack([slope[:, 0], -slope[:, 1], torch.zeros_like(relief)], 1) * 0.8, dim=1)

    # --------------------------------------------------------------------------------------------------- image

    def _backdrop(self, camera: Camera, side: int, session: Session) -> Tensor:
        step = torch.arange(side, device=self.device) + 0.5
        pixels = torch.stack([step.repeat(side), step.repeat_interleave(side)], 1)
        where = camera.to_frame(pixels) / REACH
        found = grid_sample(self._background(session.background), where[None, None], align_corners=False, padding_mode="reflection")
        return found[0, :, 0].T.contiguous()

    def _develop(self, radiant: Tensor, side: int, session: Session, shot: Shot) -> Tensor:
        """Linear radiance at the fine resolution -> display RGB: pooled, exposed, tone curve, gamma, sensor noise."""
        linear = avg_pool2d((radiant * session.exposure).T.reshape(1, 3, side, side), self.supersample)[0]
        shown = (linear * 1.12 / (1 + 0.28 * linear)).clamp(min=0) ** (1 / 2.2)
        grain = np.random.default_rng([shot.seed, 11]).standard_normal(shown.shape, np.float32)
        return (shown + torch.from_numpy(grain).to(self.device) * session.noise).clamp(0, 1)

    def _gather_truth(self, image: Tensor, mesh: _Mesh, camera: Camera, side: int, pixels: Tensor, part: Tensor,
                      position: Tensor, surface: Surface, canonical: Tensor, inside: Tensor) -> Drawing:
        s = self.supersample
        own = part < LASHES
        face = own & ((face_weight(canonical) > 0.1) | (part != BODY) | inside)

        def spread(values: Tensor, empty: float) -> Tensor:
            full = torch.full((side * side, values.shape[1]), empty, device=self.device)
            full[pixels] = values
            return full.T.reshape(-1, side, side)

        mask = avg_pool2d(spread((face.float() * (1 - surface.hair))[:, None], 0.0)[None], s)[0]
        middle = slice(s // 2, None, s)
        head = mesh.position[: len(self.asset.vertices)]
        projected = camera.project(head)
        _, depth = camera.frame_points(position)
        vertices = torch.cat([projected[:, :2], 1 / projected[:, 2:]], 1)
        landmarks = projected[self.landmark_vertices, :2]
        return Drawing(image, mask, landmarks, five_points(landmarks), vertices,
                       spread(depth[:, None], float("inf"))[0, middle, middle],
                       spread(surface.normal, 0.0)[:, middle, middle], spread(surface.albedo, 0.0)[:, middle, middle], camera)
