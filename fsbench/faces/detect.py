"""Face detection: the MTCNN of facenet-pytorch.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016, with the
published thresholds 0.6, 0.7, 0.7 and pyramid factor 0.709.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fsbench.faces.mtcnn import FoundFaces, Mtcnn
from fsbench.guard import one_thread, parallel_map
from fsbench.images import shrink, to_bytes

VERSION = "mtcnn 2"
"""Changes whenever a detection could change; part of the key of whatever is cached."""

DESCRIPTION = "MTCNN (facenet-pytorch), thresholds 0.6/0.7/0.7; the largest and most central face"

MIN_FACE = 20
"""Pixels, side of the smallest face that is searched for in a photograph, as published."""

LONGEST = 1024
"""Pixels; a larger photograph is shrunk for detection, not for the crop that is cut from it."""

MIN_FACE_OF_CROP = 0.3
"""Side of the smallest face that is searched for in a crop, as a fraction of the crop's; a whole face has about 0.6."""

GRID = 16
"""Steps of a landmark in a pixel of the picture that is searched.

Machines differ by up to 2e-5 of a pixel, by the order in which they add; what is cut and measured shall not.
"""

_SURE = 0.9  # a face likelier than this wins over one that is not


@dataclass(frozen=True)
class Detections:
    """Faces; one row of NaN, and of probability 0, where none was found."""

    boxes: np.ndarray  # (N, 4) float32 left, top, right, bottom
    landmarks: np.ndarray  # (N, 5, 2) float32, as in Faces.landmarks
    probability: np.ndarray  # (N,) float32


class Detector:
    """Finds the faces of an image, of which the first is the one that the image is about, the largest and most central.

    Of the faces of probability 0.9, or of all where there is none, it has the largest area of its box minus twice the
    squared distance of its centre from the image's centre. Coordinates are pixels with centres at .5.
    On a CPU networks are shown one image at a time, with one thread: what they give depends in its last bits on the
    number of threads and on what else is in a batch, and rounding alone would turn a last bit into a step of the grid
    now and then. Other cores look at other images meanwhile. On a GPU all crops go through together.
    """

    def __init__(self, device: torch.device) -> None:
        self._network, self._device = Mtcnn(device), device

    def detect_photo(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 of any size -> all faces of probability 0.9, by that order; without any, the first alone."""
        small = shrink(image, LONGEST)
        return _enlarged(self._detect([small], MIN_FACE)[0], image, small)

    def detect_frames(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """As `detect_photo`, of some images of one size: on a GPU all go through together."""
        if self._device.type == "cpu":
            return parallel_map(self.detect_photo, images)
        small = [shrink(image, LONGEST) for image in images]
        return list(map(_enlarged, self._detect(small, MIN_FACE), images, small))

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        """(N, 3, S, S) aligned crops in [0, 1] -> (N, 5, 2) float32 landmarks of the first face, NaN without one.

        Small faces are not searched for, which makes it fast: they are not what a crop is about.
        """
        images, min_face = list(to_bytes(crops)), MIN_FACE_OF_CROP * crops.shape[-1]
        if self._device.type == "cpu":
            found = parallel_map(lambda image: self._detect([image], min_face)[0], images)
        else:
            found = self._detect(images, min_face)
        return np.stack([each.landmarks[0] for each in found]) if found else np.zeros((0, 5, 2), np.float32)

    def _detect(self, images: Sequence[np.ndarray], min_face: float) -> list[Detections]:
        """All faces of some images of one size."""
        if not images:
            return []
        if min(images[0].shape[:2]) < min_face:  # the pyramid of images has no level
            return [_NOTHING] * len(images)
        with one_thread():
            return [_detections(faces, images[0].shape[:2]) for faces in self._network.detect(images, min_face)]


_NOTHING = Detections(
    np.full((1, 4), np.nan, np.float32), np.full((1, 5, 2), np.nan, np.float32), np.zeros(1, np.float32)
)


def _enlarged(found: Detections, image: np.ndarray, small: np.ndarray) -> Detections:
    """What was found in a picture that was shrunk, in the pixels of the whole one."""
    factor = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]], np.float32)
    return Detections(found.boxes * np.tile(factor, 2), found.landmarks * factor, found.probability)


def _detections(faces: FoundFaces, size: tuple[int, ...]) -> Detections:
    """Faces of an image of a size (height, width), by prominence."""
    if not len(faces.boxes):
        return _NOTHING
    points = (faces.landmarks * GRID).round() / GRID
    order = _by_prominence(faces.boxes, faces.probability, np.array(size[::-1]) / 2)
    return Detections(faces.boxes[order], points[order], faces.probability[order])


def _by_prominence(boxes: np.ndarray, probability: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The likely faces, the most prominent first; where none is likely, the most prominent."""
    size = boxes[:, 2:] - boxes[:, :2]
    off_centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - middle
    order = np.argsort(-(size.prod(1) - 2 * (off_centre**2).sum(1)), kind="stable")
    sure = order[probability[order] >= _SURE]
    return sure if len(sure) else order[:1]
