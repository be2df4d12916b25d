"""Detections over time: who is who, where a track ends, and what smoothing does."""

from __future__ import annotations

import numpy as np
import pytest
from clips import picture

from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detections
from fsbench.faces.track import LOST, Smoothing, Track, find_cuts, follow, thumbnail


def faces(*places: tuple[float, float, float]) -> Detections:
    """Faces of a frame by centre and side."""
    if not places:
        return Detections(np.full((1, 4), np.nan), np.full((1, 5, 2), np.nan), np.zeros(1))
    boxes = [(x - side / 2, y - side / 2, x + side / 2, y + side / 2) for x, y, side in places]
    points = [(TEMPLATE - 0.5) * side + (x, y) for x, y, side in places]
    return Detections(np.array(boxes, np.float32), np.array(points, np.float32), np.ones(len(places), np.float32))


def test_a_face_that_moves_is_one_track() -> None:
    (track,) = follow([faces((100 + 5 * i, 80, 60)) for i in range(20)])
    assert track.frames.tolist() == list(range(20))
    assert np.allclose(track.boxes[:, 0], 70 + 5 * np.arange(20))


def test_the_largest_of_several_is_the_first() -> None:
    small, large = follow([faces((60, 60, 40), (200, 80, 90)) for _ in range(5)])[::-1]
    assert (large.boxes[:, 2] - large.boxes[:, 0] == 90).all()
    assert (small.boxes[:, 2] - small.boxes[:, 0] == 40).all()


def test_a_short_gap_is_bridged_and_a_long_one_ends_the_track() -> None:
    shown, gone = faces((100, 80, 60)), faces()
    (track,) = follow([shown] * 3 + [gone] * (LOST - 1) + [shown] * 2)
    assert len(track.frames) == 5
    assert len(follow([shown] * 3 + [gone] * (LOST + 1) + [shown] * 2)) == 2
    assert follow([gone] * 4) == []
    assert follow([]) == []


def test_a_cut_ends_all_tracks() -> None:
    tracks = follow([faces((100, 80, 60))] * 6, cuts=[4])
    assert sorted(track.frames.tolist() for track in tracks) == [[0, 1, 2, 3], [4, 5]]


def crossing() -> list[Detections]:
    return [faces((60 + 8 * i, 80, 60), (220 - 8 * i, 80, 60)) for i in range(21)]


def test_two_faces_that_cross_stay_two_people_by_their_features() -> None:
    own = np.eye(2)
    tracks = follow(crossing(), likeness=[own] * 21)
    assert len(tracks) == 2
    left = next(track for track in tracks if track.boxes[0, 0] == 30)
    assert np.allclose(np.diff(left.boxes[:, 0]), 8)


def test_cuts_are_found_and_motion_is_none() -> None:
    one, other = picture(seed=1), picture(seed=2)
    moving = [np.roll(one, 3 * i, 1) for i in range(4)]
    thumbs = [thumbnail(frame) for frame in [*moving, other, other]]
    assert find_cuts(thumbs) == [4]
    assert find_cuts([]) == find_cuts(thumbs[:1]) == []


def test_gaps_are_filled_by_interpolation_up_to_a_length() -> None:
    found = [faces((100 + 2 * i, 80, 60)) if i not in (3, 4, 8, 9, 10, 11) else faces() for i in range(15)]
    (track,) = follow(found)
    assert len(track.filled(0).frames) == 9
    filled = track.filled(2)
    assert filled.frames.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14]
    assert np.allclose(filled.boxes[:, 0], 70 + 2 * filled.frames)
    assert len(track.filled(4).frames) == 15


def shaken(noise: float, n: int = 200, speed: float = 0.0) -> tuple[Track, np.ndarray]:
    still = np.repeat((TEMPLATE * 100)[None], n, 0) + speed * np.arange(n)[:, None, None]
    points = still + np.random.default_rng(0).normal(0, noise, still.shape)
    return Track(np.arange(n), np.zeros((n, 4)), points), still


TIMES = np.arange(400) / 25


@pytest.mark.parametrize("how", ["kalman", "mean", "one_euro"])
def test_smoothing_takes_noise_out_of_a_still_face(how: str) -> None:
    track, still = shaken(0.5)
    smooth = Smoothing(how).apply(track, TIMES)  # type: ignore[arg-type]
    assert np.std((smooth.landmarks - still)[50:]) < 0.6 * 0.5
    assert np.abs(np.diff(smooth.landmarks, axis=0)).mean() < 0.5 * np.abs(np.diff(track.landmarks, axis=0)).mean()


@pytest.mark.parametrize(("how", "lag"), [("kalman", 0.1), ("mean", 4.0), ("one_euro", 6.0)])
def test_smoothing_follows_a_face_that_moves(how: str, lag: float) -> None:
    """A moving average lags by speed share / (1 - share); a constant velocity is followed exactly."""
    track, still = shaken(0.0, speed=2.0)
    smooth = Smoothing(how).apply(track, TIMES)  # type: ignore[arg-type]
    behind = (still - smooth.landmarks)[100:]
    assert (behind > -1e-6).all()
    assert behind.max() < lag
    if how == "mean":
        assert np.allclose(behind, 2 * 0.65 / 0.35)


def test_smoothing_begins_anew_after_a_gap_and_off_changes_nothing() -> None:
    track, _ = shaken(1.0, n=10)
    broken = Track(np.array([0, 1, 2, 3, 4, 50, 51, 52, 53, 54]), track.boxes, track.landmarks)
    smooth = Smoothing("mean").apply(broken, TIMES)
    assert np.array_equal(smooth.landmarks[5], track.landmarks[5])
    assert not np.array_equal(smooth.landmarks[6], track.landmarks[6])
    assert Smoothing().apply(broken, TIMES) is broken
