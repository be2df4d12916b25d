"""The metric lag, on motion that is known to be late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.contracts import toy_clip, with_evidence
from fsbench.interfaces import Batch, Context, Observed
from fsbench.metrics.lag import Lag, lag

N = 60
BASE = np.array([[0.0, 0.0], [20.0, 0.0], [10.0, 12.0], [3.0, 20.0], [17.0, 20.0]])


def motion(t: np.ndarray) -> np.ndarray:
    """Landmarks at times t, (N, 5, 2): a head that moves slowly, and a mouth that opens faster."""
    where = np.stack([4 * np.sin(0.21 * t) + np.sin(0.5 * t + 1), 3 * np.cos(0.17 * t)], 1)
    mouth = np.zeros((len(t), 5, 2))
    mouth[:, 3:, 1] = np.sin(0.9 * t)[:, None]
    return BASE + where[:, None] + mouth


def late(by: float, noise: float = 0.0, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t, random = np.arange(n), np.random.default_rng(0)
    output, target = motion(t - by), motion(t)
    return output + noise * random.normal(size=output.shape), target + noise * random.normal(size=output.shape), t


@pytest.mark.parametrize("by", [-12, -3, -1, 0, 1, 2, 5, 8, 12])
def test_whole_frames_are_found(by: int) -> None:
    assert lag(*late(by)) == pytest.approx(by, abs=0.05)
    assert lag(*late(by, noise=0.5)) == pytest.approx(by, abs=0.25)


@pytest.mark.parametrize("by", [0.25, 0.5, 1.4, -2.7])
def test_parts_of_a_frame_are_found(by: float) -> None:
    assert lag(*late(by)) == pytest.approx(by, abs=0.1)


def test_a_copy_has_none_whatever_its_noise() -> None:
    output, _, frame = late(0, noise=2.0)
    assert lag(output, output, frame) == pytest.approx(0, abs=1e-9)
    assert lag(1.5 * output + 7, output, frame) == pytest.approx(0, abs=1e-9), "another face at another place"


def test_missing_frames_are_no_lag() -> None:
    output, target, frame = late(2)
    kept = np.random.default_rng(1).random(N) < 0.8
    assert lag(output[kept], target[kept], frame[kept]) == pytest.approx(2, abs=0.1)
    output[10:20] = np.nan
    target[40:45] = np.nan
    assert lag(output, target, frame) == pytest.approx(2, abs=0.1)


def test_motions_that_are_not_alike_have_no_lag() -> None:
    random, frame = np.random.default_rng(2), np.arange(N)
    still = BASE + 0.5 * random.normal(size=(2, N, 5, 2))
    assert np.isnan(lag(*still, frame))
    assert np.isnan(lag(np.full((N, 5, 2), np.nan), still[0], frame))
    assert np.isnan(lag(still[0], np.repeat(BASE[None], N, 0), frame)), "a target that does not move"


@pytest.mark.parametrize("n", [1, 2])
def test_clips_of_no_length_have_no_lag(n: int) -> None:
    assert np.isnan(lag(*late(0, n=n)))


def test_a_short_clip_shows_short_lags() -> None:
    assert lag(*late(4, n=16)) == pytest.approx(4, abs=0.1)


def clip_of(by: float) -> Batch:
    output, target, frame = late(by)
    sides = ({"landmarks": torch.from_numpy(side).float()} for side in (output, target))
    batch = with_evidence(toy_clip(3), five_points=Observed("five_points", *sides))
    return replace(batch, rows=pd.DataFrame({"frame": frame}))


def test_a_clip_has_the_size_of_its_lag(context: Context) -> None:
    metric = Lag(context=context)
    assert [metric.measure(clip_of(by)).tolist() for by in (-3, 3)] == [[pytest.approx(3, abs=0.05)]] * 2
    assert metric.info.needs == ("five_points",)
