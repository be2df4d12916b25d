"""Expression apart from identity: it is read off a position map by a linear estimator, and given to another face.

The estimator is fitted to simulated heads, of which most are hybrids, one person's face in another's head, as swapped
faces are. Nothing of a person's shape is then taken for an expression, and what the network cannot tell stays 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SIDE = 48
"""Texels a side of the maps that expressions are estimated from."""

_COMPONENTS = 25  # of expressions
_SAMPLES = 2000
_HYBRIDS = 0.6  # of the simulated heads
_TURNS = (60.0, 25.0)  # degrees of yaw and pitch, uniform to both sides
_DISTANCES = (5.5, 14.5)  # decimetres of the camera
_NOISE = 0.01  # decimetres by which each texel of a map is wrong for itself


class Heads(Protocol):
    """Maps of heads in decimetres (`HeadModel` of the synthetic data set)."""

    mean: Tensor  # (S, S, 3)
    people: Tensor  # (N, S, S, 3)
    moves: Tensor  # (A, S, S, 3)
    expressions: Tensor  # (M, A)


@dataclass(frozen=True)
class ExpressionModel:
    """Expressions in `_COMPONENTS` numbers, of which 1 is a standard deviation."""

    mean: Tensor  # (S * S, 3) a head at rest, decimetres
    weight: Tensor  # (S * S,) how much a texel counts; 0 where there is no face
    centre: Tensor  # (S * S * 3,) the mean of what the estimator is shown
    estimator: Tensor  # (S * S * 3, E)
    moves: Tensor  # (E, S * S, 3) decimetres

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> ExpressionModel | None:
        """Take the model out of a file, None where it has none."""
        names = cls.__dataclass_fields__
        if not all(f"expression.{name}" in tensors for name in names):
            return None
        return cls(**{name: tensors[f"expression.{name}"].float().to(device) for name in names})

    def tensors(self) -> dict[str, Tensor]:
        """What `of` takes."""
        return {f"expression.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    def estimate(self, position: Tensor) -> Tensor:
        """(N, 3, U, U) maps -> (N, E)."""
        at_rest, _, _ = self._pose(position)
        return (at_rest.flatten(1) - self.centre) @ self.estimator

    def displacement(self, position: Tensor, change: Tensor) -> Tensor:
        """Return by how many pixels the texels of faces (N, 3, U, U) move if their expressions change by (N, E)."""
        _, rotation, scale = self._pose(position)
        moves = torch.einsum("ne,emc->nmc", change, self.moves) @ rotation.mT * scale[:, None, None]
        return resize(moves.mT.unflatten(2, (SIDE, SIDE)), position.shape[-1])

    def _pose(self, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points = resize(position, SIDE).flatten(2).mT  # (N, S * S, 3)
        return turned_back(points, self.mean, self.weight)


def fit_expressions(heads: Heads, face: Tensor, residuals: Tensor | None, generator: Generator) -> ExpressionModel:
    """Fit the estimator by ridge regression to simulated heads.

    `face` (S, S) is how much of a texel is face; `residuals` (R, S * S, 3) are mistakes of the network in decimetres,
    which are added to the simulated maps.
    """
    weight = face.flatten() / face.sum()
    mean, moves = heads.mean.view(-1, 3), heads.moves.flatten(1, 2)
    n, device = _SAMPLES, face.device
    draws = [
        torch.randint(k, (n,), generator=generator, device=device)
        for k in (*[len(heads.people)] * 2, len(heads.expressions))
    ]
    chance = torch.rand(5, n, 1, generator=generator, device=device)
    people = heads.people.flatten(1, 2)
    share = face.flatten()[:, None] * (chance[0] < _HYBRIDS).float()[:, None]
    expressed = torch.einsum("na,amc->nmc", heads.expressions[draws[2]], moves)
    shape = torch.lerp(people[draws[0]], people[draws[1]], share) + expressed  # (n, S * S, 3)
    seen = shape @ _rotations(chance[1:3, :, 0] * 2 - 1).mT
    distance = torch.lerp(*(seen.new_tensor(end) for end in _DISTANCES), chance[3])
    seen = torch.cat([seen[..., :2] * (distance / (distance - seen[..., 2]))[..., None], seen[..., 2:]], -1)
    at_rest, _, _ = turned_back(seen, mean, weight)
    if residuals is not None:
        at_rest = at_rest + residuals[torch.randint(len(residuals), (n,), generator=generator, device=device)]
    counts = (weight > 1e-6).float()[:, None]
    given = (at_rest * counts).flatten(1)
    kept, goal = _components(heads.expressions[draws[2]], (moves * counts).flatten(1))
    centre, goal = given.mean(0), goal - goal.mean(0)
    given = given - centre
    ridge = n * _NOISE**2 * torch.eye(n, device=device)
    estimator = given.mT @ torch.linalg.solve(given @ given.mT + ridge, goal)
    return ExpressionModel(mean, weight, centre, estimator, kept.unflatten(1, (-1, 3)))


def _components(strengths: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Principal components of strengths (n, A) times moves (A, D): (E, D), and how much each sample has of them (n, E).

    The mean is not taken away: no expression is none of any component.
    """
    left, right = torch.linalg.qr(moves.mT)  # (D, A), (A, A)
    amounts, size, turn = torch.linalg.svd(strengths @ right.mT, full_matrices=False)
    scale = len(strengths) ** 0.5
    return ((size[:, None] / scale) * (turn @ left.mT))[:_COMPONENTS], (amounts * scale)[:, :_COMPONENTS]


def turned_back(points: Tensor, mean: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lay faces (N, M, 3) over a head at rest (M, 3) as well as a similarity can.

    Return them (N, M, 3), the rotations (N, 3, 3) and the scales (N,) that they had. `weight` (M,) adds up to 1.
    Umeyama, PAMI 13(4), 1991, without reflection.
    """
    share = weight[:, None]
    centre, goal_centre = (share * mean).sum(0), (share * points).sum(1)
    p, g = mean - centre, points - goal_centre[:, None]
    u, size, v = torch.linalg.svd((share * g).mT @ p)  # (N, 3, 3)
    sign = torch.ones_like(size)
    sign[:, 2] = torch.linalg.det(u @ v).sign()
    rotation = (u * sign[:, None]) @ v
    scale = (size * sign).sum(1) / (share * p.square()).sum()
    return g @ rotation / scale[:, None, None] + centre, rotation, scale


def _rotations(turns: Tensor) -> Tensor:
    """(2, N) yaw and pitch as shares of the largest -> (N, 3, 3), y down."""
    yaw, pitch = (torch.deg2rad(turn * largest) for turn, largest in zip(turns, _TURNS, strict=True))
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    about_y = torch.stack([yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos()], -1)
    about_x = torch.stack([one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos()], -1)
    return about_y.unflatten(-1, (3, 3)) @ about_x.unflatten(-1, (3, 3))


def resize(maps: Tensor, side: int) -> Tensor:
    """(N, C, U, U) -> (N, C, side, side), bilinear."""
    return maps if maps.shape[-1] == side else F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
