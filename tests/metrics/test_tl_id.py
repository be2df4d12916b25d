"""The metric tl_id, on vectors whose cosines are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_turning import N, clip_of, cosine, turning

from fsbench.metrics.tl_id import TlId


def test_a_copy_is_as_constant_as_its_clip() -> None:
    assert TlId().measure(clip_of(turning(20), turning(20))).item() == 0


def test_consecutive_frames_are_compared() -> None:
    assert TlId().measure(clip_of(turning(30), turning(5))).item() == pytest.approx(cosine(30) - cosine(5))
    assert TlId().measure(clip_of(turning(5), turning(30))).item() == pytest.approx(cosine(5) - cosine(30))


def test_frames_without_a_face_and_gaps_are_left_out() -> None:
    output, target = turning(30), turning(5)
    output[2] = -output[2]
    spoiled = TlId().measure(clip_of(output, target)).item()
    output[2] = torch.nan
    assert TlId().measure(clip_of(output, target)).item() == pytest.approx(cosine(30) - cosine(5))
    assert spoiled < cosine(30) - cosine(5) - 0.1
    step = turning(30)
    step[3:] = -step[3:]
    gap = np.array([0, 1, 2, 10, 11, 12])
    assert TlId().measure(clip_of(step, target, gap)).item() == pytest.approx(cosine(30) - cosine(5))


def test_nothing_to_compare_is_not_scored() -> None:
    assert TlId().measure(clip_of(turning(0, 1), turning(0, 1))).isnan().all()
    assert TlId().measure(clip_of(torch.full((N, 2), torch.nan), turning(5))).isnan().all()
    assert TlId().measure(clip_of(turning(5), turning(5), 2 * np.arange(N))).isnan().all()
