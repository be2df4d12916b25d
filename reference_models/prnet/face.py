"""What is known of the texels of a position map, whatever network gives it: landmarks, parts, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

_LANDMARK, _FEATURE, _FACE, _REST = 16.0, 4.0, 3.0, 1.0
"""Weights of errors; those of the paper, which leaves out what is no face: here it has the hairline and the jaw."""

_EYES, _NOSE, _LIPS = (slice(36, 42), slice(42, 48)), slice(27, 36), slice(48, 60)


@dataclass(frozen=True)
class Layout:
    """Facts about the U x U texels of a map."""

    face: Tensor  # (U, U) how much of a texel is face, 0 to 1; 0 where a texel stands for nothing
    valid: Tensor  # (U, U) 1 where a texel stands for a point of the head
    membrane: Tensor  # (U, U) 1 between the lids and 2 between the lips
    landmarks: Tensor  # (68, 2) x, y of the iBUG landmarks in the square, which spans [-1, 1]

    @property
    def side(self) -> int:
        """Texels a side."""
        return self.face.shape[-1]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> Layout:
        """Take the layout out of a file; raises KeyError where something is missing."""
        return cls(**{field.name: tensors[f"layout.{field.name}"].float().to(device) for field in fields(cls)})

    def tensors(self) -> dict[str, Tensor]:
        """What `of` takes."""
        return {f"layout.{field.name}": getattr(self, field.name) for field in fields(self)}

    def at_landmarks(self, maps: Tensor) -> Tensor:
        """(N, C, U, U) maps -> (N, 68, C) at the landmarks, bilinear."""
        grid = self.landmarks.to(maps.device).expand(len(maps), 1, -1, -1)
        return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)[:, :, 0].mT

    def part(self, name: str) -> Tensor:
        """(U, U) weight of a part, "mouth" or "eyes": 1 on it, and fading out within the face around it."""
        if name == "mouth":
            return self._around(_LIPS, 0.7, 1.1, 2.1) * self.face
        return torch.maximum(*(self._around(eye, 0.7, 1.2, 2.2) for eye in _EYES)) * self.face

    @property
    def weight(self) -> Tensor:
        """(U, U) how much an error counts in training."""
        features = torch.stack([self._around(part, 0.7, 1.2, 1.3) for part in (*_EYES, _NOSE, _LIPS)]).amax(0)
        weight = torch.where(self.face > 0.5, _FACE, _REST)
        weight = torch.where(features > 0.5, _FEATURE, weight)
        column, row = ((self.landmarks + 1) / 2 * self.side).long().clamp(0, self.side - 1).unbind(1)
        weight[row, column] = _LANDMARK
        return weight * self.valid

    def _around(self, part: slice, least_aspect: float, inner: float, outer: float) -> Tensor:
        """(U, U): 1 within `inner` half axes of the landmarks of a part, 0 beyond `outer`, smooth between."""
        points = self.landmarks[part]
        low, high = points.amin(0), points.amax(0)
        half = (high - low) / 2
        half = torch.maximum(half, least_aspect * half.flip(0).clamp(max=float(half.min()) * 2))
        line = (torch.arange(self.side, device=points.device) + 0.5) / self.side * 2 - 1
        x, y = torch.meshgrid(line, line, indexing="xy")
        distance = ((torch.stack([x, y], -1) - (low + high) / 2) / half).norm(dim=-1)
        share = ((outer - distance) / (outer - inner)).clamp(0, 1)
        return share * share * (3 - 2 * share)
