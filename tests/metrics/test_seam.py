"""Seams of known height, and what is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import portraits
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fsbench.errors import NotScorable
from fsbench.faces.paste import PRESETS, Mask, PasteBack
from fsbench.metrics.seam import Seam

FRAMES = [portraits.frame(seed) for seed in range(3)]


def value(change: object, how: PasteBack = portraits.HARD, after: object = None) -> float:
    rows = Seam().measure(portraits.batch(FRAMES, change, how, after))
    assert rows.shape == (3,)
    return float(rows.mean())


def darker(levels: float) -> object:
    return lambda crop: portraits.shifted(crop, (-levels, 0, 0))


@pytest.mark.parametrize("change", [(-1, 0, 0), (1, 0, 0), (0, 1, 0.5)])
def test_it_grows_with_the_step_in_any_direction(change: tuple[float, float, float]) -> None:
    seen = [
        value(lambda crop, step=step: portraits.shifted(crop, tuple(step * part for part in change)))
        for step in (0, 3, 6, 12, 20)
    ]
    assert seen[0] < 0.1
    assert all(more > less for less, more in pairwise(seen))
    size = 20 * np.linalg.norm(change)
    assert 0.5 * size < seen[-1] < 1.1 * size


def test_a_wider_fade_hides_the_same_step() -> None:
    seen = [value(darker(12), PasteBack(Mask("oval", blur=blur))) for blur in (0.0, 0.01, 0.03, 0.08)]
    assert all(more > less for more, less in pairwise(seen))
    assert seen[-1] < 0.35 * seen[0]


@pytest.mark.parametrize("preset", ["fsbench", "exact", "insightface", "facefusion"])
def test_the_unchanged_crop_has_none(preset: str) -> None:
    assert value(lambda crop: crop, PRESETS[preset]) < 0.25


def test_a_change_of_the_whole_frame_is_none() -> None:
    """Of light, of sharpness, and of grain: the border is not another one than before."""
    light = value(lambda crop: crop, after=lambda image: (image * 0.9).astype(np.uint8))
    soft = value(lambda crop: crop, after=lambda image: gaussian_filter(image, (1, 1, 0)))
    assert light < 0.2
    assert soft < 0.2


def test_texture_and_grain_do_not_count() -> None:
    random = np.random.default_rng(0)

    def grain(crop: np.ndarray) -> np.ndarray:
        return (crop + random.normal(0, 8 / 255, crop.shape)).clip(0, 1).astype(np.float32)

    assert value(grain) < 1.2 < 0.1 * value(darker(20))


def test_what_lies_within_the_face_does_not_count() -> None:
    def spot(crop: np.ndarray) -> np.ndarray:
        changed = crop.copy()
        changed[30:40, 28:38] = 0
        return changed

    assert value(spot) < 0.1


def test_an_edge_that_the_frame_has_is_none() -> None:
    """A box whose border runs through hair and background, as sharp as these are."""
    assert value(lambda crop: crop, PasteBack(Mask("box", blur=0.0))) < 0.1


def test_nothing_pasted_is_not_scored() -> None:
    batch = portraits.batch(FRAMES, darker(9))
    nothing = replace(batch, evidence={"paste_weight": torch.zeros_like(batch.mask)})
    assert Seam().measure(nothing).isnan().all()
    with pytest.raises(NotScorable):
        Seam().measure(replace(batch, evidence={"paste_weight": NotScorable("no frames")}))
