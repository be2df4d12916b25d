"""The head model: a mesh, the targets that shape and move it, and what is known about its surface.

Units are decimetres, y up, z out of the face, x to the subject's left. The *canonical* head is the mean adult, with its
origin midway between the eyeballs; everything painted on skin is a function of canonical positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files

import numpy as np
import torch
from torch import Tensor

from fsbench.faces.raster import gather, pick, rasterise, weights_at
from fsbench.store import file_sha256

PARTS = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
    "helper-l-eyelashes-1",
    "helper-l-eyelashes-2",
    "helper-r-eyelashes-1",
    "helper-r-eyelashes-2",
)
BODY, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASHES = range(7)
HEAD_BOX = (0.64, 1.0, 0.145, 0.823)
"""u0, u1, v0, v1 of the head's island in the texture square; u runs down the face and v across it."""
PIVOT = (0.0, -0.95, -0.95)
"""Where the neck turns, relative to the point midway between the eyes."""


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit normals (V, 3), averaged over the triangles of a vertex by area."""
    a, b, c = vertices[faces].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for corner in faces.unbind(1):
        total.index_add_(0, corner, normals)
    return torch.nn.functional.normalize(total, dim=1)


@dataclass(frozen=True)
class Texels:
    """The pixels of a skin map that show skin: where they lie on the canonical head."""

    height: int
    width: int
    index: Tensor  # (P,) into height * width
    position: Tensor  # (P, 3) canonical
    normal: Tensor  # (P, 3) canonical
    masks: Tensor  # (4, P) lips, eyelids, ears, mouth, 0 to 1
    fill: Tensor  # (height * width,) into P: the nearest texel with skin


def _magnify(chart: Tensor) -> Tensor:
    """Give the face more room in a skin map at the cost of the back of the head: a cubic about the face's centre."""
    centre = chart.new_tensor([0.5, 0.62])
    reach = torch.where(chart > centre, 1 - centre, centre)
    away = (chart - centre) / reach
    return centre + reach * away * (1.45 - 0.45 * away**2)


class Asset:
    """The arrays of heads.npz on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._texels: dict[int, Texels] = {}
        with as_file(files(__package__) / "heads.npz") as path, np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.names: list[str] = arrays["names"].tolist()
        self.number = {name: k for k, name in enumerate(self.names)}
        self.base_ids: np.ndarray = arrays["base_ids"].astype(np.int64)

        def tensor(name: str, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.from_numpy(arrays[name].astype(np.float32 if kind.is_floating_point else np.int64)).to(device)

        self.vertices, self.targets = tensor("vertices"), tensor("targets")  # (V, 3), (K, V, 3)
        self.faces, self.parts = tensor("triangles", torch.int64), tensor("parts", torch.int64)  # (T, 3), (T,)
        self.head_weight = tensor("head_weight")[:, None]  # (V, 1)
        self.occlusion = tensor("occlusion") / 255  # (V,)
        self.masks = torch.stack([tensor(f"mask_{name}") for name in ("lips", "eyelids", "ears", "mouth")])[None] / 255
        uv = tensor("uv")
        u0, u1, v0, v1 = HEAD_BOX
        chart = torch.stack([(uv[:, 1] - v0) / (v1 - v0), (uv[:, 0] - u0) / (u1 - u0)], 1)  # x across, y down, 0 to 1
        self.in_chart = ((chart >= 0) & (chart <= 1)).all(1)[tensor("uv_triangles", torch.int64)].all(1)
        self.in_chart &= self.parts == BODY
        self.inside = (
            ~self.in_chart
            & (self.parts == BODY)
            & ((chart[:, 0] < 0) | (chart[:, 1] < -1.3) & (chart[:, 0] < 0.75))[
                tensor("uv_triangles", torch.int64)
            ].all(1)
        )
        self.mask_chart, self.chart, self.chart_faces = chart, _magnify(chart), tensor("uv_triangles", torch.int64)

    @cached_property
    def mean_coefficients(self) -> np.ndarray:
        """(K,) of the mean adult."""
        mean = np.zeros(len(self.names), np.float32)
        for gender in ("female", "male"):
            mean[self.number[f"macro/{gender}-young-average"]] = 1 / 2
            for origin in ("african", "asian", "caucasian"):
                mean[self.number[f"macro/{gender}-young-{origin}"]] = 1 / 6
        return mean

    @cached_property
    def canonical(self) -> Tensor:
        """(V, 3) mean adult."""
        return self.neutral(self.mean_coefficients)

    @cached_property
    def canonical_normals(self) -> Tensor:
        """(V, 3) of the body; other parts have their own."""
        return self.normals(self.canonical)

    @cached_property
    def seen(self) -> Tensor:
        """Numbers of the triangles that are drawn solid: all but the lashes."""
        return (self.parts < LASHES).nonzero()[:, 0]

    @cached_property
    def body_faces(self) -> Tensor:
        """Triangles of the skin."""
        return self.faces[self.parts == BODY]

    @cached_property
    def part_vertices(self) -> list[Tensor]:
        """Vertices of each part."""
        return [torch.unique(self.faces[self.parts == part]) for part in range(len(PARTS))]

    @cached_property
    def ear(self) -> Tensor:
        """(V,) 1 on the ears."""
        chart = torch.full((len(self.vertices), 2), -1.0, device=self.device)
        chart[self.faces[self.in_chart]] = self.mask_chart[self.chart_faces[self.in_chart]]
        found = torch.nn.functional.grid_sample(self.masks[:, 2:3], (chart * 2 - 1)[None, None], align_corners=False)
        return (found[0, 0, 0] > 0.3).float()

    @cached_property
    def eye_centres(self) -> Tensor:
        """(2, 3) canonical centres of the eyeballs, subject's left first."""
        return torch.stack([self.canonical[self.part_vertices[part]].mean(0) for part in (LEFT_EYE, RIGHT_EYE)])

    @cached_property
    def _incident(self) -> Tensor:
        """(V, most) triangles at each vertex, the last index standing for none."""
        corner = self.faces.cpu().numpy().ravel()
        order = np.argsort(corner, kind="stable")
        count = np.bincount(corner, minlength=len(self.vertices))
        table = np.full((len(self.vertices), count.max()), len(self.faces))
        column = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        table[corner[order], column] = order // 3
        return torch.from_numpy(table).to(self.device)

    def neutral(self, coefficients: np.ndarray) -> Tensor:
        """Return the face at rest (V, 3), origin midway between its eyeballs."""
        used = np.flatnonzero(coefficients)
        weights = torch.from_numpy(coefficients[used]).to(self.device)
        shape = self.vertices + torch.einsum("k,kvd->vd", weights, self.targets[torch.from_numpy(used).to(self.device)])
        eyes = torch.stack([shape[self.part_vertices[part]].mean(0) for part in (LEFT_EYE, RIGHT_EYE)])
        return shape - eyes.mean(0)

    def normals(self, vertices: Tensor) -> Tensor:
        """Return vertex normals (V, 3): `vertex_normals` with a gather, which repeats exactly on any device."""
        a, b, c = (pick(vertices, corner) for corner in self.faces.unbind(1))
        flat = torch.cat([torch.linalg.cross(b - a, c - a), vertices.new_zeros(1, 3)])
        total = torch.nn.functional.embedding_bag(self._incident, flat, mode="sum")
        return torch.nn.functional.normalize(total, dim=1)

    def texels(self, height: int) -> Texels:
        """Return where the texels of a skin map of that height, and twice the width, lie on the head."""
        if height not in self._texels:
            self._texels[height] = self._find_texels(height)
        return self._texels[height]

    def _find_texels(self, height: int) -> Texels:
        width = 2 * height
        size = width  # rasterised in a square of which the upper half is used
        screen = torch.cat(
            [
                self.chart * torch.tensor([width, height], device=self.device),
                torch.zeros(len(self.chart), 1, device=self.device),
            ],
            1,
        )
        numbers = self.in_chart.nonzero()[:, 0]
        found = rasterise(screen, self.chart_faces[numbers], size, cull=False)[: height * width]
        index = (found >= 0).nonzero()[:, 0]
        triangle = numbers[found[index]]
        weights = weights_at(screen, self.chart_faces[triangle], index, size, perspective=False)
        corners = self.faces[triangle]
        normal = torch.nn.functional.normalize(gather(self.canonical_normals, corners, weights), dim=1)
        where = (self.mask_chart[self.chart_faces[triangle]] * weights[..., None]).sum(1)
        masks = torch.nn.functional.grid_sample(self.masks, (where * 2 - 1)[None, None], align_corners=False)[0, :, 0]
        return Texels(
            height,
            width,
            index,
            gather(self.canonical, corners, weights),
            normal,
            masks,
            _nearest(index, height, width),
        )


def _nearest(index: Tensor, height: int, width: int) -> Tensor:
    """For every pixel, the nearest entry of `index`: textures are continued beyond their seams with it."""
    from scipy.ndimage import distance_transform_edt

    lookup = np.full(height * width, -1)
    lookup[index.cpu().numpy()] = np.arange(len(index))
    grid = lookup.reshape(height, width)
    rows, columns = distance_transform_edt(grid < 0, return_distances=False, return_indices=True)
    return torch.from_numpy(grid[rows, columns].ravel()).to(index.device)


@lru_cache(maxsize=2)
def load_asset(device: torch.device) -> Asset:
    """Return the asset on a device."""
    return Asset(device)


@lru_cache(maxsize=1)
def asset_sha256() -> str:
    """SHA-256 of the asset file."""
    with as_file(files(__package__) / "heads.npz") as path:
        return file_sha256(path)
