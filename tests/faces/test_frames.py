"""The region of a frame that metrics look at: where it lies, and how much of it is pasted."""

from __future__ import annotations

import numpy as np
import pytest
from clips import picture

from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.frames import REGION, SPAN, cut_region, cut_weight, side_of
from fsbench.faces.paste import Mask, PasteBack, cut, put_back

FRAME = picture(320, 240, seed=4)


def landmarks(side: float, degrees: float = 15.0, centre: tuple[float, float] = (160.0, 120.0)) -> np.ndarray:
    angle = np.radians(degrees)
    turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((TEMPLATE - 0.5) @ turn.T + centre).astype(np.float32)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("side", [60.0, 110.0])
def test_the_crop_is_the_middle_of_the_region(size: int, side: float) -> None:
    points = landmarks(side)
    region, own = cut_region(FRAME, points, size)
    assert region.shape == (side_of(size), side_of(size), 3)
    assert np.allclose(own, REGION * side_of(size), atol=1e-3)
    margin = (side_of(size) - size) // 2
    middle = region[margin : margin + size, margin : margin + size]
    assert np.abs(middle.astype(int) - align(FRAME, points, size)[0]).mean() < 1


@pytest.mark.parametrize("side", [50.0, 100.0])
def test_the_weight_is_the_share_of_the_face(side: float) -> None:
    """A box without a border fills the crop, which is 1 / SPAN^2 of the region, whatever the size of the face."""
    points, size = landmarks(side), 64
    crop = cut(FRAME, points, size)
    white = np.ones((size, size, 3), np.float32)
    for mask, area in ((Mask("box", blur=0.0), 1.0), (Mask("box", erosion=0.1, blur=0.0), 0.64)):
        pasted = put_back(FRAME, white, crop, PasteBack(mask))
        weight = cut_weight(pasted, points, size)
        assert weight.dtype == np.uint8
        assert (weight / 255).mean() == pytest.approx(area / SPAN**2, rel=0.07)
        region = cut_region(pasted.image, points, size)[0]
        assert (region[weight == 255] > 250).all(), "what is all face is white"
        before = cut_region(FRAME, points, size)[0]
        assert np.abs(region[weight == 0].astype(int) - before[weight == 0]).mean() < 1


def test_nothing_is_pasted_outside_the_frame() -> None:
    points = landmarks(60.0, centre=(-500.0, -500.0))
    pasted = put_back(FRAME, np.ones((64, 64, 3), np.float32), cut(FRAME, points, 64), PasteBack())
    assert np.array_equal(pasted.image, FRAME)
    assert not cut_weight(pasted, points, 64).any()
