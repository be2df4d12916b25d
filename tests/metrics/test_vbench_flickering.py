"""The metric vbench_flickering, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.contracts import toy_clip
from fsbench.interfaces import Batch
from fsbench.metrics.vbench_flickering import VbenchFlickering


def clip_of(levels: list[int], frame: list[int] | None = None) -> Batch:
    """Grey frames of these levels of 255."""
    output = (torch.tensor(levels) / 255)[:, None, None, None].expand(len(levels), 3, 8, 8)
    return replace(toy_clip(3), output=output, rows=pd.DataFrame({"frame": frame or list(range(len(levels)))}))


def test_a_still_is_at_one() -> None:
    assert VbenchFlickering().measure(clip_of([90, 90, 90])).item() == 1


def test_differences_of_levels_are_averaged() -> None:
    assert VbenchFlickering().measure(clip_of([0, 51, 51])).item() == pytest.approx(1 - 0.5 * 51 / 255)
    assert VbenchFlickering().measure(clip_of([0, 255, 0])).item() == pytest.approx(0, abs=1e-7)


def test_gaps_are_left_out() -> None:
    assert VbenchFlickering().measure(clip_of([0, 51, 255], [0, 1, 5])).item() == pytest.approx(0.8)
    assert VbenchFlickering().measure(clip_of([0, 51], [0, 2])).isnan().all()
    assert VbenchFlickering().summarise(np.array([[0.5], [0.7]])) == pytest.approx(0.6)
