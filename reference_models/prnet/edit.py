"""Texture editing: the face of an output is drawn again with the expression of its target, or with its whole shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from fsbench.interfaces import Swapped
from reference_models.prnet.face import Layout
from reference_models.prnet.network import Maps
from reference_models.prnet.render import MapRenderer, read
from reference_models.prnet.shape import ExpressionModel

Parts = Literal["mouth", "eyes", "features", "whole"]
PARTS: dict[str, tuple[str, ...]] = {"mouth": ("mouth",), "eyes": ("eyes",), "features": ("mouth", "eyes")}

_EDGE = 0.1  # of a part's weight, over which the edited picture fades in: there nothing moves yet
_OPENINGS = (((37, 41), (38, 40), (43, 47), (44, 46)), ((61, 67), (62, 66), (63, 65)))
"""Landmarks above and below the lids and the inner lips."""


@dataclass(frozen=True)
class Editor:
    """What is drawn again, and with which geometry."""

    layout: Layout
    expressions: ExpressionModel | None  # None: a part takes the target's shape, not its expression alone
    parts: Parts
    mask_occluded: bool

    def edit(self, output: Swapped, targets: Tensor, of_output: Maps, of_target: Maps) -> Swapped:
        """Draw the faces of outputs again; maps are in pixels of the crops.

        The new geometry shows the texture that lies at the same texels of the output. Where the new mouth or eyes are
        wider open than those of the output, what is seen in them comes from the target, as far as the output has none.
        """
        geometry = self.geometry(of_output, of_target)
        renderer, size = MapRenderer(self.layout.valid), output.images.shape[-1]
        share = self._share(geometry) * self._seen(of_output, of_target)
        values = [of_output.position[:, :2], of_target.position[:, :2], share, self._fill(of_output, geometry)]
        drawn = [renderer.draw(*pair, size)[0] for pair in zip(geometry, torch.cat(values, 1), strict=True)]
        own, other, weight, fill = torch.stack(drawn).split([2, 2, 1, 1], 1)
        weight = weight.clamp(0, 1)  # interpolated, it may be a last bit more
        if self.mask_occluded:
            held = torch.maximum(*(self._held(renderer, maps, size) for maps in (of_output, of_target)))
            weight = weight * (1 - held) * (1 - read(held, own))  # neither drawn over nor taken along
        picture = torch.lerp(read(output.images, own), read(targets, other), fill)
        images = torch.lerp(output.images, picture, weight)
        alpha = None if output.alpha is None else 1 - (1 - output.alpha) * (1 - weight)
        return Swapped(images, alpha)

    def geometry(self, of_output: Maps, of_target: Maps) -> Tensor:
        """(N, 3, U, U): where the points of the refined faces shall lie."""
        if self.parts == "whole":
            return of_target.position
        return of_output.position + self._weight() * self._difference(of_output, of_target)

    def _share(self, geometry: Tensor) -> Tensor:
        """(N, 1, U, U): how much of a texel is drawn again."""
        weight = self.layout.face if self.parts == "whole" else (self._weight() / _EDGE).clamp(max=1)
        return weight.expand(len(geometry), 1, -1, -1)

    def _held(self, renderer: MapRenderer, maps: Maps, size: int) -> Tensor:
        """(N, 1, size, size): 1 on pixels where something is before the face, and around them."""
        if maps.visible is None:
            return maps.position.new_zeros(len(maps.position), 1, size, size)
        pairs = zip(maps.position, (1 - maps.visible) * (1 - self._inside), strict=True)
        hidden = torch.stack([renderer.draw(*pair, size)[0] for pair in pairs])
        radius = max(1, size // 64)
        return max_pool2d(hidden.round(), 2 * radius + 1, 1, radius)

    @cached_property
    def _inside(self) -> Tensor:
        """(1, U, U): 1 between lids and lips, and at their edges."""
        return max_pool2d((self.layout.membrane > 0).float()[None], 5, 1, 2)

    def _weight(self) -> Tensor:
        return torch.stack([self.layout.part(name) for name in PARTS[self.parts]]).amax(0)

    def _difference(self, of_output: Maps, of_target: Maps) -> Tensor:
        """By how much the points of outputs have to move, in pixels."""
        if self.expressions is None:
            return of_target.position - of_output.position
        before, after = (self.expressions.estimate(maps.position) for maps in (of_output, of_target))
        return self.expressions.displacement(of_output.position, after - before)

    def _seen(self, of_output: Maps, of_target: Maps) -> Tensor:
        """(N, 1, U, U): 0 on texels that output or target do not show, and beside them; smooth between.

        In and around the openings of eyes and mouth one of the two is enough: what is shut hides itself.
        """
        if not self.mask_occluded or of_target.visible is None or of_output.visible is None:
            return torch.ones_like(of_output.position[:, :1])
        both = torch.minimum(of_output.visible, of_target.visible)
        one = torch.maximum(of_output.visible, of_target.visible)
        seen = torch.lerp(both, one, self._inside)
        seen = -max_pool2d(-seen, 3, 1, 1)
        return ((seen - 0.25) / 0.5).clamp(0, 1)

    def _fill(self, of_output: Maps, geometry: Tensor) -> Tensor:
        """(N, 1, U, U): how much of what is seen in mouth and eyes comes from the target."""
        fill = torch.zeros_like(geometry[:, :1])
        for k, pairs in enumerate(_OPENINGS, 1):
            before, after = (_opening(self.layout.at_landmarks(maps), pairs) for maps in (of_output.position, geometry))
            share = (1 - before / after.clamp(min=0.25)).clamp(0, 1)  # (N,)
            fill = torch.where(self.layout.membrane == k, share[:, None, None, None], fill)
        return fill


def _opening(landmarks: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    """(N, 68, 3) -> (N,) mean distance of the pairs, pixels."""
    above, below = (landmarks[:, [pair[k] for pair in pairs], :2] for k in (0, 1))
    return (below - above).norm(dim=-1).mean(1)
