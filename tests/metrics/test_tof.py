"""The metric tof: closed forms, and the frames and pixels that it and tlp look at."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from metric_running import clip_of, running

from fsbench.errors import NotScorable
from fsbench.metrics._tecogan import inner, pairs
from fsbench.metrics.tof import Tof

needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="needs OpenCV")


@pytest.mark.parametrize(("size", "side"), [(128, 96), (64, 32), (48, 32), (47, 0), (112, 96), (111, 64), (512, 480)])
def test_the_middle_is_a_multiple_of_32_with_a_border(size: int, side: int) -> None:
    """As TecoGAN's crop_8x8: the multiple of 32 below the size, less 32 until 16 pixels are left."""
    images = torch.zeros(1, size, size)
    assert inner(images).shape == (1, side, side)
    start = (size - side) // 2
    images[..., start : start + side, start : start + side] = 1
    assert inner(images).bool().all()


def test_frames_at_both_ends_and_gaps_are_left_out() -> None:
    batch = clip_of(running(1), running(1))
    assert pairs(batch) == [2, 3, 4]
    assert pairs(clip_of(running(1), running(1), np.array([0, 1, 2, 3, 7, 8, 9, 10]))) == [2, 4]
    assert pairs(clip_of(running(1)[:4], running(1)[:4])) == []
    assert pairs(clip_of(running(1, size=32), running(1, size=32))) == []


@needs_opencv
def test_tof_is_the_difference_of_the_motions() -> None:
    assert Tof().measure(clip_of(running(1), running(1))).item() == 0
    still = running(0)
    assert Tof().measure(clip_of(running(2), still)).item() == pytest.approx(2, rel=0.1)
    assert Tof().measure(clip_of(still, running(2))).item() == pytest.approx(2, rel=0.1)
    assert Tof().measure(clip_of(still[:4], still[:4])).isnan().all()


def test_opencv_is_told_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbench.metrics.tof.find_spec", lambda name: None)
    assert "OpenCV" in Tof().info.missing
    with pytest.raises(NotScorable, match="OpenCV"):
        Tof().measure(clip_of(running(1), running(1)))
