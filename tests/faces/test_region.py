"""Ovals lie where the synthetic masks do, and move with the landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from fsbench.faces.align import TEMPLATE
from fsbench.faces.region import ovals
from fsbench.interfaces import Context
from fsbench.registry import datasets


def test_an_oval_covers_the_face_of_frontal_synthetic_people(context: Context) -> None:
    faces = datasets.build("synthetic(people=4,sessions=2,images=8,gallery=0,size=64,seed=9)", context).faces("test")
    assert faces.masks is not None
    faces = faces.select((faces.rows["yaw"].abs() < 20).to_numpy())
    exact, oval = faces.masks.pixels > 127, ovals(faces.landmarks, 64).pixels > 127
    overlap = (exact & oval).sum((1, 2, 3)) / (exact | oval).sum((1, 2, 3))
    assert len(overlap) >= 4
    assert overlap.mean() > 0.65


def test_it_moves_turns_and_grows_with_the_landmarks() -> None:
    first, shifted = ovals(np.stack([TEMPLATE * 96, TEMPLATE * 96 + (7, -5)]), 96).pixels[..., 0]
    assert np.array_equal(np.roll(first, (-5, 7), (0, 1)), shifted)
    half, quarter = (ovals(((TEMPLATE - 0.5) * scale + 0.5)[None] * 200, 200).pixels for scale in (1.0, 0.5))
    assert (half > 0).sum() / (quarter > 0).sum() == pytest.approx(4, rel=0.02)
    turned = np.stack([1 - TEMPLATE[:, 1], TEMPLATE[:, 0]], 1)  # a quarter turn, clockwise on the screen
    upright, lying = ovals(np.stack([TEMPLATE, turned]) * 100, 100).pixels[..., 0]
    assert np.array_equal(np.rot90(upright, -1), lying)


def test_without_landmarks_there_is_no_face() -> None:
    assert ovals(np.full((1, 5, 2), np.nan, np.float32), 32).pixels.sum() == 0
