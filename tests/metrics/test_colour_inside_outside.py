"""A face whose colour moves away from its neck by a known step, and changes that are none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import portraits
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fsbench.faces.paste import PRESETS, Mask, PasteBack
from fsbench.metrics.colour_inside_outside import ColourInsideOutside

FRAMES = [portraits.frame(seed) for seed in range(3)]


def value(change: object, how: PasteBack = portraits.HARD, after: object = None, frames: object = FRAMES) -> float:
    rows = ColourInsideOutside().measure(portraits.batch(frames, change, how, after))  # type: ignore[arg-type]
    return float(rows.mean())


@pytest.mark.parametrize("change", [(-1, 0, 0), (0, 1, 0), (0.5, -0.5, 0.7)])
@pytest.mark.parametrize("tone", [(200, 150, 125), (95, 65, 50)])
def test_it_is_the_size_of_the_shift(change: tuple[float, float, float], tone: tuple[int, int, int]) -> None:
    frames = [portraits.frame(seed, tone) for seed in range(2)]
    steps = (0, 2, 5, 10)
    seen = [
        value(lambda crop, step=step: portraits.shifted(crop, tuple(step * part for part in change)), frames=frames)
        for step in steps
    ]
    assert seen[0] < 0.3
    assert all(more > less for less, more in pairwise(seen))
    for step, level in zip(steps[1:], seen[1:], strict=True):
        assert level == pytest.approx(step * np.linalg.norm(change), rel=0.15, abs=0.3)


@pytest.mark.parametrize("neck", [-9.0, 0.0, 6.0])
def test_a_neck_that_is_another_colour_in_the_frame_is_none(neck: float) -> None:
    assert value(lambda crop: crop, frames=[portraits.frame(1, neck=neck)]) < 0.3


def test_the_light_of_the_whole_frame_does_not_count() -> None:
    for gain in (0.9, 1.1):
        after = lambda image, gain=gain: (image * gain).clip(0, 255).astype(np.uint8)  # noqa: E731
        assert value(lambda crop: crop, after=after) < 1
    inside = value(lambda crop: (crop * 0.9).astype(np.float32))
    assert inside > 4


def test_blur_grain_and_the_fade_of_the_mask_hardly_count() -> None:
    random = np.random.default_rng(0)
    assert value(lambda crop: gaussian_filter(crop, (1.5, 1.5, 0))) < 0.8
    grain = value(lambda crop: (crop + random.normal(0, 6 / 255, crop.shape)).clip(0, 1).astype(np.float32))
    assert grain < 0.8
    faded = [
        value(lambda crop: portraits.shifted(crop, (-8, 0, 0)), PasteBack(Mask("oval", blur=blur)))
        for blur in (0.0, 0.02, 0.04)
    ]
    assert max(faded) - min(faded) < 0.1 * faded[0]


def test_matched_colours_are_nearer() -> None:
    cast = lambda crop: portraits.shifted(crop, (-8, 4, 0))  # noqa: E731
    plain = PasteBack(Mask("oval"))
    assert value(cast, replace(plain, colour="lab")) < 0.4 * value(cast, plain)


def test_without_skin_outside_it_is_not_scored() -> None:
    """A scarf and a cap; and a mask that is empty."""
    dressed = portraits.frame(0)
    dressed[155:] = (20, 60, 30)
    dressed[:95] = (20, 60, 30)
    assert np.isnan(value(lambda crop: crop, frames=[dressed]))
    batch = portraits.batch(FRAMES, lambda crop: crop, PRESETS["fsbench"])
    nothing = replace(batch, evidence={"paste_weight": torch.zeros_like(batch.mask)})
    assert ColourInsideOutside().measure(nothing).isnan().all()
