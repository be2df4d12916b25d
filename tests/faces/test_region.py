"""Ovals lie where the synthetic masks do, and move with the landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.region import FITTED, UPRIGHT, Oval, ovals
from fsbench.interfaces import Context
from fsbench.registry import datasets


def test_an_oval_covers_the_face_of_frontal_synthetic_people(context: Context) -> None:
    faces = datasets.build("synthetic(people=4,sessions=2,images=8,gallery=0,clips=0,size=64,seed=9)", context).faces(
        "test"
    )
    assert faces.masks is not None
    faces = faces.select((faces.rows["yaw"].abs() < 20).to_numpy())
    exact, oval = faces.masks.levels() > 127, ovals(faces.landmarks, 64).levels() > 127
    overlap = (exact & oval).sum((1, 2, 3)) / (exact | oval).sum((1, 2, 3))
    assert len(overlap) >= 4
    assert overlap.mean() > 0.65


def test_it_moves_turns_and_grows_with_the_landmarks() -> None:
    first, shifted = ovals(np.stack([TEMPLATE * 96, TEMPLATE * 96 + (7, -5)]), 96).levels()[..., 0]
    assert np.array_equal(np.roll(first, (-5, 7), (0, 1)), shifted)
    half, quarter = (ovals(((TEMPLATE - 0.5) * scale + 0.5)[None] * 200, 200).levels() for scale in (1.0, 0.5))
    assert (half > 0).sum() / (quarter > 0).sum() == pytest.approx(4, rel=0.02)
    turned = np.stack([1 - TEMPLATE[:, 1], TEMPLATE[:, 0]], 1)  # a quarter turn, clockwise on the screen
    upright, lying = ovals(np.stack([TEMPLATE, turned]) * 100, 100).levels()[..., 0]
    assert np.array_equal(np.rot90(upright, -1), lying)


def test_an_upright_oval_moves_but_neither_turns_nor_grows() -> None:
    points = TEMPLATE * 96
    moved = points + np.array([7, -5])
    first, shifted = ovals(np.stack([points, moved]), 96, UPRIGHT).levels()[..., 0].astype(int)
    assert np.abs(np.roll(first, (-5, 7), (0, 1)) - shifted).max() <= 1
    middle = (points[:2].mean(0) + points[3:].mean(0)) / 2
    turned = (points - middle)[:, ::-1] * (1, -1) * 0.5 + middle
    assert np.abs(ovals(turned[None], 96, UPRIGHT).levels()[0, ..., 0] - first).max() <= 1
    assert len(np.unique(first)) > 5
    assert first.max() == 255


@pytest.mark.parametrize("size", [16, 64, 96, 128, 140, 333])
def test_both_ovals_are_what_they_were_when_each_had_a_function_of_its_own(size: int) -> None:
    """To the last bit, for landmarks of heads that are turned, far away and outside the crop."""
    random = np.random.default_rng(size)
    landmarks = (TEMPLATE + random.normal(0, 0.05, (40, 5, 2)) + random.normal(0, 0.2, (40, 1, 2))) * size
    landmarks = np.concatenate([TEMPLATE[None] * size, landmarks.astype(np.float32)])
    step = np.arange(size) + 0.5
    place = np.stack(np.meshgrid(step, step), -1)
    turns = [similarity(points, TEMPLATE) for points in landmarks]
    hard = [(((place @ turn[:, :2].T + turn[:, 2] - (0.5, 0.56)) / (0.26, 0.35)) ** 2).sum(-1) < 1 for turn in turns]
    assert np.array_equal(ovals(landmarks, size).levels()[..., 0], np.array(hard) * 255)

    height = float(TEMPLATE[3:, 1].mean() - TEMPLATE[:2, 1].mean()) * size
    middle = (landmarks[:, :2].mean(1) + landmarks[:, 3:].mean(1)) / 2
    at = np.arange(size, dtype=np.float32) + 0.5
    x = (at[None, None, :] - middle[:, 0, None, None]) / (0.95 * height)
    y = (at[None, :, None] - middle[:, 1, None, None]) / (1.15 * height)
    soft = np.clip((1 - np.hypot(x, y)) / 0.12 + 0.5, 0, 1)
    assert np.array_equal(ovals(landmarks, size, UPRIGHT).levels()[..., 0], (soft * 255).round().astype(np.uint8))


@pytest.mark.parametrize("oval", [FITTED, UPRIGHT])
def test_without_landmarks_there_is_no_face(oval: Oval) -> None:
    assert ovals(np.full((1, 5, 2), np.nan, np.float32), 32, oval).levels().sum() == 0
