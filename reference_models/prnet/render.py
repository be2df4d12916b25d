"""Draws position maps: which texel each pixel of an image shows, with a z-buffer on the device."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.faces.raster import gather, pick, rasterise, weights_at


class MapRenderer:
    """The triangles of a layout: two for every four neighbouring texels that all stand for a point."""

    def __init__(self, valid: Tensor) -> None:
        """`valid` (U, U): 1 where a texel stands for a point."""
        self.valid = valid

    @cached_property
    def faces(self) -> Tensor:
        """(T, 3) texels, in the order in which the front of a face shows them."""
        side = self.valid.shape[-1]
        number = torch.arange(side * side, device=self.valid.device).view(side, side)
        corners = [number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]]
        whole = torch.stack([self.valid.flatten()[corner] > 0.5 for corner in corners]).all(0)
        a, b, c, d = (corner[whole] for corner in corners)
        return torch.cat([torch.stack([a, c, b], 1), torch.stack([b, c, d], 1)])

    def draw(self, position: Tensor, values: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Interpolate the values of texels at the pixels of one image that show them.

        (3, U, U) x, y, z in pixels, z towards the camera, and (C, U, U) values -> (C, size, size), zero where no texel
        is seen, and (size, size) bool where one is. Projection is parallel, as in the maps.
        """
        screen, table = position.flatten(1).T.contiguous(), values.flatten(1).T.contiguous()
        nearest = rasterise(screen, self.faces, size)
        pixels = (nearest >= 0).nonzero()[:, 0]
        corners = pick(self.faces, pick(nearest, pixels))
        weights = weights_at(screen, corners, pixels, size, perspective=False)
        drawn = table.new_zeros(size * size, table.shape[1])
        drawn[pixels] = gather(table, corners, weights)
        return drawn.T.reshape(-1, size, size), (nearest >= 0).view(size, size)


def read(images: Tensor, places: Tensor) -> Tensor:
    """Read images (N, C, S, S) at places (N, 2, h, w) in their pixels -> (N, C, h, w), bicubic, within [0, 1]."""
    grid = places.permute(0, 2, 3, 1) * (2 / images.shape[-1]) - 1
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
