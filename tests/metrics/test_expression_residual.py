"""Landmarks after alignment: invariance and closed form."""

from __future__ import annotations

import math

import pytest
import torch
from metric_observations import N, about_z, observed_batch
from torch import Tensor

from fsbench.metrics.expression_residual import ExpressionResidual, residual


def turned(points: Tensor, degrees: float, scale: float, shift: tuple[float, float]) -> Tensor:
    return scale * points @ about_z(degrees)[:2, :2].mT + torch.tensor(shift)


def test_the_residual_ignores_turns_scales_and_shifts_of_either() -> None:
    output, target = (
        torch.rand(N, 5, 2, generator=torch.Generator().manual_seed(seed)).double() * 20 for seed in (1, 2)
    )
    before = residual(output, target)
    assert (before > 1).all()
    assert torch.allclose(residual(turned(output, 35, 0.4, (3, -8)), target), before)
    assert torch.allclose(residual(output, turned(target, -70, 2.5, (-1, 4))), before)
    assert residual(turned(target, 20, 1.7, (5, 5)), target).tolist() == pytest.approx([0.0] * N, abs=1e-6)


def test_the_residual_of_a_stretched_square() -> None:
    """Corners (+-1, +-1) and a middle, stretched by 1 +- a along the axes: the best scale is 1 / (1 + a^2).

    The corners are then off by a (1 - a) / (1 + a^2) across and a (1 + a) / (1 + a^2) down, of eyes that are 2 apart.
    """
    square, a = torch.tensor([(-1.0, -1), (1, -1), (0, 0), (-1, 1), (1, 1)])[None], 0.2
    stretched = square * torch.tensor([1 + a, 1 - a])
    off = math.hypot(a * (1 - a), a * (1 + a)) / (1 + a * a)
    assert residual(stretched, square).item() == pytest.approx(100 * off * math.sqrt(4 / 5) / 2)


def test_a_row_is_the_residual_of_the_outputs_landmarks_on_the_targets() -> None:
    output, target = torch.rand(2, N, 5, 2, generator=torch.Generator().manual_seed(0))
    rows = ExpressionResidual().measure(observed_batch({"landmarks": output}, {"landmarks": target}))
    assert torch.equal(rows, residual(output, target))
    assert not torch.equal(rows, residual(target, output))
