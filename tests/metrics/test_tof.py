"""The metrics tof and tlp: whole and closed forms, and the frames and pixels that they look at."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from fsbench import weights
from fsbench.contracts import toy_clip
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Context
from fsbench.metrics._tecogan import inner, pairs
from fsbench.metrics.tlp import Tlp
from fsbench.metrics.tof import Tof

N, SIZE = 8, 64
needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="needs OpenCV")


def running(right: int, n: int = N, size: int = SIZE) -> torch.Tensor:
    """A pattern that moves to the right by so many pixels a frame, (n, 3, size, size)."""
    coarse = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(coarse, size=(size, 3 * size), mode="bicubic", align_corners=False).clamp(0, 1)[0]
    return torch.stack([wide[:, :, size - right * t : 2 * size - right * t] for t in range(n)])


def clip_of(output: torch.Tensor, target: torch.Tensor, frame: np.ndarray | None = None) -> Batch:
    rows = pd.DataFrame({"frame": np.arange(len(output)) if frame is None else frame})
    return replace(toy_clip(3), rows=rows, output=output, target=target)


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


def test_tlp_is_a_hundred_times_the_difference(weights_folder: Path, fresh_context: Context) -> None:
    weights.import_file(weights_folder / "lpips_alexnet.pickle", fresh_context.store.root / "weights", "lpips_alex")
    metric = Tlp(context=fresh_context)
    assert metric.measure(clip_of(running(1), running(1))).item() == 0
    distance = [
        [float(metric._distance(inner(images[k : k + 1]), inner(images[k + 1 : k + 2]))) for k in (2, 3, 4)]
        for images in (running(3), running(1))
    ]
    wanted = 100 * np.abs(np.subtract(*distance)).mean()
    assert metric.measure(clip_of(running(3), running(1))).item() == pytest.approx(wanted, rel=0.02)
    assert wanted > 1


def test_tlp_needs_its_network(fresh_context: Context) -> None:
    assert "lpips_alex" in Tlp(context=fresh_context).info.missing
