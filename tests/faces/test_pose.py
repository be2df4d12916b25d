"""The synthetic people know their pose; MTCNN's landmarks stand for what a user's photographs give."""

from __future__ import annotations

import numpy as np
import pytest

from fsbench.datasets.synthetic import Synthetic
from fsbench.datasets.synthetic.geometry import rotation
from fsbench.faces.detect import Detector
from fsbench.faces.pose import _FACE, pose
from fsbench.interfaces import Context


def seen(yaw: float, pitch: float, roll: float, scale: float = 40.0) -> np.ndarray:
    """The mean face's landmarks from far away, (5, 2) pixels."""
    turned = _FACE @ rotation(yaw, pitch, roll).T
    return scale * turned[:, :2] * (1, -1) + (64, 70)


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (-70, 10, 5), (25, -20, 30), (-5, 18, -90)])
def test_the_mean_face_is_found_exactly(angles: tuple[float, float, float]) -> None:
    assert np.allclose(pose(seen(*angles)[None]), angles)


def test_signs_are_those_of_the_image() -> None:
    frontal = seen(0, 0, 0)
    right, down, tilted = (frontal.copy() for _ in range(3))
    right[2] += (6, 0)  # the nose points to the image's right
    down[2] += (0, 6)
    tilted = (frontal - 64) @ np.array([[0.98, -0.2], [0.2, 0.98]]) + 64  # y is down: anticlockwise as one sees it
    assert pose(right[None])[0, 0] > 5
    assert pose(down[None])[0, 1] > 5
    assert pose(tilted[None])[0, 2] == pytest.approx(np.degrees(np.arctan2(0.2, 0.98)))


def test_yaw_grows_with_the_turn_whatever_the_face() -> None:
    face = _FACE + np.random.default_rng(0).normal(size=_FACE.shape) * 0.05  # nobody is the mean
    turned = np.stack([(face @ rotation(yaw, 10, 0).T)[:, :2] * (1, -1) for yaw in range(-75, 76, 5)])
    assert (np.diff(pose(turned)[:, 0]) > 0).all()


def test_mirrored_landmarks_give_the_mirrored_pose() -> None:
    points = seen(20, 8, 4)[None] + np.random.default_rng(1).normal(size=(50, 5, 2))
    mirrored = points[:, [1, 0, 2, 4, 3]] * (-1, 1)
    assert np.allclose(pose(mirrored), pose(points) * (-1, 1, -1))


def test_neither_size_nor_place_nor_company_matter() -> None:
    points = seen(20, 8, 4)[None] + np.random.default_rng(2).normal(size=(3, 5, 2))
    assert np.allclose(pose(3 * points + 500), pose(points))
    assert np.allclose(pose(points[1:2]), pose(points)[1:2])


def test_no_face_has_no_pose() -> None:
    points = np.stack([seen(10, 0, 0), np.full((5, 2), np.nan), seen(0, 10, 0)])
    points[2, 4, 1] = np.nan
    angles = pose(points)
    assert np.isnan(angles).all(1).tolist() == [False, True, True]
    assert pose(points[:0]).shape == (0, 3)


def test_poses_of_people_that_the_mean_face_was_not_made_from(context: Context) -> None:
    faces = Synthetic(people=2, gallery=12, seed=3, context=context).faces("gallery")
    found = pose(Detector(context.device).detect_crops(faces.crops[:]))
    error = np.abs(found[:, :2] - faces.rows[["yaw", "pitch"]].to_numpy())
    yaw, pitch = error.mean(0)
    assert yaw < 5  # measured over 480 crops: 3.0
    assert pitch < 8  # 5.3
    assert np.corrcoef(found[:, 0], faces.rows["yaw"])[0, 1] > 0.95
