"""The metric tg_id, on vectors whose cosines are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_turning import N, clip_of, cosine, turning

from fsbench.metrics.tg_id import TgId


def mean(degrees: float, frames: range | list[int] = range(N)) -> float:
    """Mean cosine of any two frames."""
    return float(np.mean([cosine(degrees * (j - i)) for i in frames for j in frames if j > i]))


def test_a_copy_is_as_constant_as_its_clip() -> None:
    assert TgId().measure(clip_of(turning(20), turning(20))).item() == 0


def test_any_two_frames_are_compared_whatever_lies_between_them() -> None:
    wanted = pytest.approx(mean(30) - mean(5), abs=1e-6)
    assert TgId().measure(clip_of(turning(30), turning(5))).item() == wanted
    assert TgId().measure(clip_of(turning(30), turning(5), 2 * np.arange(N))).item() == wanted


def test_frames_without_a_face_are_left_out_on_both_sides() -> None:
    output, target = turning(30), turning(5)
    output[2], target[0] = torch.nan, torch.nan
    kept = [1, 3, 4, 5]
    assert TgId().measure(clip_of(output, target)).item() == pytest.approx(mean(30, kept) - mean(5, kept), abs=1e-6)


def test_nothing_to_compare_is_not_scored() -> None:
    assert TgId().measure(clip_of(turning(0, 1), turning(0, 1))).isnan().all()
    assert TgId().measure(clip_of(torch.full((N, 2), torch.nan), turning(5))).isnan().all()
