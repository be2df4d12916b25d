"""The metric residual_acceleration, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench.contracts import toy_clip, with_evidence
from fsbench.interfaces import Batch, Observed
from fsbench.metrics.residual_acceleration import ResidualAcceleration, acceleration

FRAMES = np.arange(12)
EYES = 20.0
ZERO = pytest.approx(0, abs=1e-9)


def moving(seed: int = 0) -> torch.Tensor:
    """Landmarks (12, 5, 2) of a head that turns and nods, its eyes 20 pixels apart."""
    random = torch.Generator().manual_seed(seed)
    base = torch.tensor([[0.0, 0.0], [EYES, 0.0], [10.0, 12.0], [3.0, 20.0], [17.0, 20.0]])
    path = 30 * torch.rand(12, 1, 2, generator=random, dtype=torch.float64)
    return base.double() + path


def test_outputs_that_move_as_their_targets_are_at_zero_wherever_they_are() -> None:
    target = moving()
    assert acceleration(target, target, FRAMES) == 0
    drift = torch.arange(12)[:, None, None] * torch.tensor(
        [0.7, -0.2], dtype=torch.float64
    )  # a constant speed is no acceleration
    assert acceleration(target + 5 + drift, target, FRAMES) == ZERO


def test_a_shake_has_the_acceleration_of_its_closed_form() -> None:
    target = moving()
    shake = torch.tensor([1.0, -1.0]).repeat(6)[:, None, None] * torch.tensor([1.0, 0.0])  # +1, -1, +1 ... pixels
    assert acceleration(target + shake, target, FRAMES) == pytest.approx(100 * 4 / EYES)
    assert acceleration(target + 3 * shake, target, FRAMES) == pytest.approx(100 * 12 / EYES)
    point = torch.zeros(12, 5, 2).double()
    point[:, 2] = shake[:, 0]  # the tip of the nose alone
    assert acceleration(target + point, target, FRAMES) == pytest.approx(100 * 4 / 5 / EYES)


def test_pixels_are_relative_to_the_face() -> None:
    target, noise = moving(), torch.randn(12, 5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value = acceleration(target + noise, target, FRAMES)
    assert acceleration(2 * (target + noise), 2 * target, FRAMES) == pytest.approx(float(value))


def test_triples_across_missing_frames_and_lost_faces_are_left_out() -> None:
    target = moving()
    jump = torch.zeros(12, 1, 2).double()
    jump[6:] = 50.0
    assert acceleration(target + jump, target, FRAMES) > 50
    gap = np.where(FRAMES < 6, FRAMES, FRAMES + 1)
    assert acceleration(target + jump, target, gap) == ZERO, "the jump is between frames that do not follow each other"
    lost = target + jump
    lost[5:7] = torch.nan
    assert acceleration(lost, target, FRAMES) == ZERO
    without_target = target.clone()
    without_target[5:7] = torch.nan
    assert acceleration(target + jump, without_target, FRAMES) == ZERO


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_frames_are_no_motion(n: int) -> None:
    target = moving()[:n]
    assert acceleration(target, target, FRAMES[:n]).isnan()


def test_clips_without_a_triple_are_not_scored() -> None:
    target = moving()
    assert acceleration(target, target, 2 * FRAMES).isnan(), "every second frame is missing"
    assert acceleration(target, torch.full_like(target, torch.nan), FRAMES).isnan()
    assert acceleration(target, torch.zeros_like(target), FRAMES).isnan(), "eyes that coincide give no scale"


def clip_of(output: torch.Tensor, target: torch.Tensor) -> Batch:
    batch = toy_clip(len(output))
    observed = Observed("five_points", {"landmarks": output.float()}, {"landmarks": target.float()})
    return replace(with_evidence(batch, five_points=observed), rows=batch.rows.assign(frame=range(len(output))))


def test_a_clip_has_one_row() -> None:
    target = moving()
    rows = ResidualAcceleration().measure(clip_of(target, target))
    assert rows.shape == (1,)
    assert rows.item() == 0
    assert ResidualAcceleration().summarise(np.array([[1.0], [3.0]])) == 2
