"""Blocks of frames: intervals and paired differences of series whose autocorrelation and whose mean are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fsbench.errors import NotScorable
from fsbench.stats.blocks import BLOCKS, FEWEST_BLOCKS, SHORTEST, BlockDesign
from fsbench.stats.resampling import Design, Mean


def clips_of(lengths: list[int], sources: int = 1, resamples: int = 300, **of: np.ndarray) -> BlockDesign:
    """Clips of so many frames; the frames of each stand once for every source."""
    clip, frame = (np.tile(labels, sources) for labels in _labels(lengths))
    return BlockDesign.of_frames(rows_of(clip, frame), resamples=resamples, seed=0, **of)


def rows_of(clip: np.ndarray, frame: np.ndarray) -> pd.DataFrame:
    """Rows of frames; all clips have one name, in sessions of their own."""
    return pd.DataFrame({"identity": "Ada", "session": clip, "clip": "c", "frame": frame, "source": "Bo"})


def _labels(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(n) for n in lengths])


def autoregression(lengths: list[int], memory: float, random: np.random.Generator) -> np.ndarray:
    """A series of variance 1 for each clip, (N,), whose autocorrelation falls to 1/e in `memory` frames; 0: none."""
    decay = math.exp(-1 / memory) if memory else 0.0
    series = [random.normal(size=n) for n in lengths]
    for steps in series:
        for t in range(1, len(steps)):
            steps[t] = decay * steps[t - 1] + math.sqrt(1 - decay**2) * steps[t]
    return np.concatenate(series)


def coverage(design: Design, world: Callable[[], np.ndarray], worlds: int) -> tuple[float, float]:
    """Share of the worlds of mean 0 in which intervals hold it: of values, and of paired differences of two models."""
    alone = paired = 0
    for _ in range(worlds):
        shared, one, other = world(), world(), world()
        a, b = shared + one, shared + other
        of_a, of_b = (design.resample(Mean(rows)) for rows in (a, b))
        low, high = design.spread(of_a).interval(float(a.mean()))
        alone += low <= 0 <= high
        difference = design.difference(float(a.mean() - b.mean()), of_a, of_b)
        paired += difference.low <= 0 <= difference.high
    return alone / worlds, paired / worlds


@pytest.mark.parametrize(
    ("lengths", "memory"),
    [
        ([50, 50], 0), ([50, 50], 1.5), ([50, 50], 5), ([100, 100], 10), ([200, 200], 5), ([200, 200], 20),
        ([120], 0), ([120], 12), ([500], 40), ([60, 240], 6), ([80] * 3, 8), ([1500, 1500], 100),
    ],
)  # fmt: skip
def test_intervals_and_differences_cover_what_they_say(lengths: list[int], memory: float) -> None:
    """Clips are as long as ten times the memory, or longer. 800 worlds: the binomial error of the coverage is .8."""
    random = np.random.default_rng([3, len(lengths), lengths[0], int(memory)])
    covered = coverage(clips_of(lengths), lambda: autoregression(lengths, memory, random), 800)
    assert all(0.92 - 0.012 <= share <= 0.97 + 0.012 for share in covered), covered


@pytest.mark.parametrize(("lengths", "memory"), [([50, 50], 10), ([100], 20), ([100, 100], 20)])
def test_clips_of_five_memories_are_covered_in_nine_cases_of_ten(lengths: list[int], memory: float) -> None:
    """Independent blocks would be covered in six or seven."""
    random, design = np.random.default_rng(5), clips_of(lengths)
    covered = coverage(design, lambda: autoregression(lengths, memory, random), 600)
    assert min(covered) > 0.87, covered
    independent = Design.of(design.people, design.sessions, design.sources, resamples=300, seed=0)
    assert max(coverage(independent, lambda: autoregression(lengths, memory, random), 600)) < 0.8


def test_blocks_are_of_one_clip_and_of_consecutive_frames() -> None:
    design = clips_of([50, 120], sources=2)
    clip, frame = (np.tile(labels, 2) for labels in _labels([50, 120]))
    assert design.n_clusters == 2 * BLOCKS
    for block in np.unique(design.sessions):
        own = design.sessions == block
        assert len(np.unique(clip[own])) == 1
        numbers = np.unique(frame[own])
        assert np.array_equal(numbers, np.arange(numbers[0], numbers[-1] + 1))  # of all sources together
        assert own.sum() == 2 * len(numbers)
        assert abs(len(numbers) - np.unique(frame[clip == clip[own][0]]).size / BLOCKS) < 1
    drawn = design.draws[0].index(0)
    assert np.array_equal(np.sort(drawn[drawn < 170]) + 170, np.sort(drawn[drawn >= 170]))


@pytest.mark.parametrize(
    ("frames", "enough"),
    [
        (np.arange(BLOCKS * SHORTEST), True),
        (np.arange(FEWEST_BLOCKS * SHORTEST), True),
        (np.arange(FEWEST_BLOCKS * SHORTEST - 1), False),
        (np.arange(1), False),
        (1000 + 3 * np.arange(40), True),  # of every third frame
        (np.r_[:100, 400:500], False),  # nearly all frames are of five blocks
        (np.r_[:30, 400], False),
    ],
)
def test_few_blocks_are_a_reason_and_no_number(frames: np.ndarray, enough: bool) -> None:
    both = np.r_[np.arange(100), frames]
    design = BlockDesign.of_frames(rows_of(np.r_[: len(both)] >= 100, both), resamples=100, seed=0)
    rows = np.random.default_rng(0).normal(size=len(both))
    assert (design.reason == "") is enough
    if enough:
        assert design.spread(design.resample(Mean(rows))).error > 0
    else:
        assert "8 blocks" in design.reason
        with pytest.raises(NotScorable, match="too few"):
            design.spread(design.resample(Mean(rows)))


def test_a_difference_between_clips_does_not_widen_the_interval() -> None:
    rows = np.repeat([0.0, 100.0], 60) + np.random.default_rng(0).normal(size=120)
    design = clips_of([60, 60])
    low, high = design.spread(design.resample(Mean(rows))).interval(50)
    assert 0.2 < high - low < 2


def test_a_paired_difference_has_the_memory_of_the_difference() -> None:
    """Two models share what changes slowly: what is left differs from frame to frame, and is known well."""
    random, design = np.random.default_rng(2), clips_of([100, 100])
    slow = autoregression([100, 100], 30, random)
    a, b = slow + 0.3 + 0.2 * random.normal(size=200), slow + 0.2 * random.normal(size=200)
    found = design.difference(float(a.mean() - b.mean()), design.resample(Mean(a)), design.resample(Mean(b)))
    assert found.p < 1e-4
    assert found.low < 0.3 < found.high
    assert found.degrees_of_freedom is not None
    assert found.degrees_of_freedom > design.spread(design.resample(Mean(a))).degrees_of_freedom


def test_of_clips_that_are_not_kept_no_frame_is_drawn() -> None:
    """Two sources in each of two clips: four samples, of which statistics of frames are made."""
    sample = np.repeat(np.arange(4), [60, 40, 60, 40])
    design = clips_of([60, 40], sources=2, sample=sample)
    some = design.among(np.array([True, False, True, True]))
    assert isinstance(some, BlockDesign)
    assert len(design) == 200
    assert len(some) == 160
    assert some.sample is not None
    assert np.bincount(some.sample).tolist() == [60, 60, 40]
    assert design.among(np.ones(4, bool)) is design
    assert some.among(np.array([False, False, True])).n_clusters == BLOCKS


def test_what_never_varies_has_an_interval_of_no_width() -> None:
    design = clips_of([60, 60])
    assert design.spread(design.resample(Mean(np.ones(120)))).error == pytest.approx(0, abs=1e-12)
