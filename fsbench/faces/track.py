"""Faces over time: which detections of consecutive frames are one face, and its landmarks smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from PIL import Image

from fsbench.faces.detect import Detections

OVERLAP = 0.3
"""Intersection over union of two boxes from which on they may be one face."""

LOST = 15
"""Frames without its face after which a track ends."""

CUT = 24.0
"""Mean difference of two frames, 16 x 16 pixels each, in levels of 255, from which on the scene is another.

People who talk and move change them by 0.5 to 3 a frame.
"""

_THUMB = 16


@dataclass(frozen=True)
class Track:
    """One face in the frames in which it was found; entry i of every field belongs to frame `frames[i]`."""

    frames: np.ndarray  # (T,) int, increasing
    boxes: np.ndarray  # (T, 4) float32
    landmarks: np.ndarray  # (T, 5, 2) float64, pixels of the frame

    @property
    def area(self) -> float:
        """Area of its boxes, added over its frames."""
        return float(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], 1).sum())

    def filled(self, longest: int) -> Track:
        """Return the track with gaps of up to so many frames filled, by interpolation between their ends."""
        gaps = np.diff(self.frames)
        missing = [np.arange(a + 1, b) for a, b in pairwise(self.frames) if b - a - 1 <= longest]
        if longest < 1 or gaps.max(initial=1) == 1:
            return self
        frames = np.sort(np.concatenate([self.frames, *missing]))

        def interpolated(values: np.ndarray) -> np.ndarray:
            flat = values.reshape(len(values), -1)
            columns = [np.interp(frames, self.frames, column) for column in flat.T]
            return np.stack(columns, 1).reshape(len(frames), *values.shape[1:])

        return Track(frames, interpolated(self.boxes), interpolated(self.landmarks))


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (16, 16, 3) float32 levels, by which cuts are found."""
    return np.asarray(Image.fromarray(frame).resize((_THUMB, _THUMB), Image.Resampling.BOX), np.float32)


def find_cuts(thumbnails: Sequence[np.ndarray]) -> list[int]:
    """Return the numbers of frames that begin another scene than the frame before."""
    return [i + 1 for i, (one, other) in enumerate(pairwise(thumbnails)) if np.abs(one - other).mean() > CUT]


def follow(
    detections: Sequence[Detections], cuts: Sequence[int] = (), likeness: Sequence[np.ndarray] | None = None
) -> list[Track]:
    """Join detections (one entry a frame) to tracks, the largest first.

    Of a frame each track gets the face that overlaps most with its last one, at least OVERLAP, such that the sum over
    all is the largest; with `likeness`, (F, D) unit features of each frame's faces, twice the cosine to the track's
    mean features counts beside it, so that two faces that cross stay two people. A cut ends all tracks.
    """
    from scipy.optimize import linear_sum_assignment

    begun: list[_Growing] = []
    going: list[_Growing] = []
    starts = set(cuts)
    for number, found in enumerate(detections):
        going = [] if number in starts else [track for track in going if number - track.frames[-1] <= LOST]
        faces = np.flatnonzero(np.isfinite(found.boxes).all(1))
        features = None if likeness is None else likeness[number]
        gain = np.zeros((len(going), len(faces)))
        for i, track in enumerate(going):
            overlap = _overlap(track.boxes[-1], found.boxes[faces])
            gain[i] = overlap
            if features is not None:
                gain[i] += 2 * (features[faces] @ track.mean_features())
            gain[i][overlap < OVERLAP] = -10
        taken = set()
        for i, j in zip(*linear_sum_assignment(-gain), strict=True) if gain.size else ():
            if gain[i, j] > -5:
                going[i].add(number, found, int(faces[j]), features)
                taken.add(int(faces[j]))
        new = [_Growing() for face in faces if int(face) not in taken]
        for track, face in zip(new, (int(face) for face in faces if int(face) not in taken), strict=True):
            track.add(number, found, face, features)
        going += new
        begun += new
    return sorted((track.finished() for track in begun), key=lambda track: -track.area)


class _Growing:
    """A track that is not finished."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.boxes: list[np.ndarray] = []
        self.landmarks: list[np.ndarray] = []
        self._features = 0.0 * np.zeros(1)

    def add(self, frame: int, found: Detections, face: int, features: np.ndarray | None) -> None:
        self.frames.append(frame)
        self.boxes.append(found.boxes[face])
        self.landmarks.append(found.landmarks[face])
        if features is not None:
            self._features = self._features + features[face]

    def mean_features(self) -> np.ndarray:
        return self._features / max(float(np.linalg.norm(self._features)), 1e-9)

    def finished(self) -> Track:
        return Track(np.array(self.frames), np.stack(self.boxes), np.stack(self.landmarks).astype(np.float64))


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box and others, (F,)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low, 0), 1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], 1) + np.prod(box[2:] - box[:2])
    return np.asarray(common / np.maximum(area - common, 1e-9))


@dataclass(frozen=True)
class Smoothing:
    """How landmarks are smoothed over time; every filter looks back only.

    - kalman: a constant velocity, `process` noise and `measurement` noise (variances, pixels), as faceswap-GAN's;
    - mean: `share` of the mean so far and the rest of the new place, as faceswap-GAN's moving average;
    - one_euro: Casiez et al. 2012, `cutoff` in Hz at rest, more by `beta` with speed in pixels a second.
    """

    how: Literal["off", "kalman", "mean", "one_euro"] = "off"
    process: float = 3e-3
    measurement: float = 1.0
    share: float = 0.65
    cutoff: float = 1.0
    beta: float = 0.05

    def apply(self, track: Track, times: np.ndarray) -> Track:
        """Return a track with its landmarks smoothed; `times` are the seconds of all frames of the video.

        A gap in the track begins anew.
        """
        if self.how == "off":
            return track
        filters = {"kalman": self._kalman, "mean": self._mean, "one_euro": self._one_euro}
        landmarks = track.landmarks.copy()
        gaps = np.flatnonzero(np.diff(track.frames) > 1) + 1
        for part in np.split(np.arange(len(track.frames)), gaps):
            landmarks[part] = filters[self.how](landmarks[part], times[track.frames[part]])
        return replace(track, landmarks=landmarks)

    def _mean(self, points: np.ndarray, times: np.ndarray) -> np.ndarray:
        smooth = points.copy()
        for i in range(1, len(points)):
            smooth[i] = self.share * smooth[i - 1] + (1 - self.share) * points[i]
        return smooth

    def _kalman(self, points: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Every coordinate has the same noise, so one covariance serves all."""
        step, look = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, 0.0])
        covariance, state = np.eye(2), np.stack([points[0], np.zeros_like(points[0])])  # (2, 5, 2) place, velocity
        smooth = points.copy()
        for i in range(1, len(points)):
            state = np.tensordot(step, state, 1)
            covariance = step @ covariance @ step.T + self.process * np.eye(2)
            gain = covariance @ look / (covariance[0, 0] + self.measurement)
            state = state + gain[:, None, None] * (points[i] - state[0])
            covariance = (np.eye(2) - np.outer(gain, look)) @ covariance
            smooth[i] = state[0]
        return smooth

    def _one_euro(self, points: np.ndarray, times: np.ndarray) -> np.ndarray:
        smooth, speed = points.copy(), np.zeros_like(points[0])
        for i in range(1, len(points)):
            passed = max(float(times[i] - times[i - 1]), 1e-6)
            speed = speed + _weight(1.0, passed) * ((points[i] - smooth[i - 1]) / passed - speed)
            weight = _weight(self.cutoff + self.beta * np.abs(speed), passed)
            smooth[i] = smooth[i - 1] + weight * (points[i] - smooth[i - 1])
        return smooth


def _weight(cutoff: np.ndarray | float, passed: float) -> np.ndarray:
    """Of the new place, in a low-pass filter of first order."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * passed)))
