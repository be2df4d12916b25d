"""Face detection: the MTCNN of facenet-pytorch, one face an image.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016, with the
published thresholds 0.6, 0.7, 0.7 and pyramid factor 0.709.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import FsbenchError
from fsbench.guard import one_thread
from fsbench.images import shrink, to_bytes

if TYPE_CHECKING:
    from facenet_pytorch import MTCNN

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

_SURE = 0.9                                             # a face likelier than this wins over one that is not


@dataclass(frozen=True)
class Detections:
    """One face an image; rows of NaN, and probability 0, where none was found."""

    boxes: np.ndarray                                   # (N, 4) float32 left, top, right, bottom
    landmarks: np.ndarray                               # (N, 5, 2) float32, as in Faces.landmarks
    probability: np.ndarray                             # (N,) float32


class Detector:
    """Finds the face that an image is about, the largest and most central.

    Among the faces of probability 0.9, or among all where there is none, the one with the largest area of its box
    minus twice the squared distance of its centre from the image's centre. Coordinates are pixels with centres at .5.
    Networks are shown one image at a time, and on a CPU with one thread: what they give depends in its last bits on the
    number of threads and on what else is in a batch, and rounding alone would turn a last bit into a step of the grid
    now and then. It takes a third longer than batches of 16 with two threads.
    """

    def __init__(self, device: torch.device) -> None:
        self._network = _load_mtcnn(device)

    def detect_photo(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 of any size -> one detection."""
        small = shrink(image, LONGEST)
        found = self._detect(small[None], MIN_FACE)
        factor = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]], np.float32)
        return Detections(found.boxes * np.tile(factor, 2), found.landmarks * factor, found.probability)

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        """(N, 3, S, S) aligned crops in [0, 1] -> (N, 5, 2) float32 landmarks, NaN where there is no face.

        Small faces are not searched for, which makes it fast: they are not what a crop is about.
        """
        return self._detect(to_bytes(crops), MIN_FACE_OF_CROP * crops.shape[-1]).landmarks

    def _detect(self, images: np.ndarray, min_face: float) -> Detections:
        n, height, width = images.shape[:3]
        found = Detections(np.full((n, 4), np.nan, np.float32), np.full((n, 5, 2), np.nan, np.float32),
                           np.zeros(n, np.float32))
        if min(height, width) < min_face:                # MTCNN would fail: its pyramid has no level
            return found
        self._network.min_face_size = min_face
        middle = np.array((width, height)) / 2
        for i in range(n):
            with torch.inference_mode(), one_thread():
                seen = self._network.detect(images[i:i + 1], landmarks=True)
            boxes, probability, landmarks = (some[0] for some in seen)
            if boxes is None:
                continue
            boxes, probability = boxes.astype(np.float32), probability.astype(np.float32)
            best = _most_prominent(boxes, probability, middle)
            found.boxes[i], found.probability[i] = boxes[best], probability[best]
            found.landmarks[i] = (np.asarray(landmarks[best], np.float32) * GRID).round() / GRID
        return found


def _most_prominent(boxes: np.ndarray, probability: np.ndarray, middle: np.ndarray) -> int:
    size = boxes[:, 2:] - boxes[:, :2]
    off_centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - middle
    prominence = size.prod(1) - 2 * (off_centre**2).sum(1)
    sure = probability >= _SURE
    return int(np.where(sure | ~sure.any(), prominence, -np.inf).argmax())


def _load_mtcnn(device: torch.device) -> MTCNN:
    try:
        from facenet_pytorch import MTCNN
    except (ImportError, RuntimeError, AttributeError) as error:
        # A torchvision that was built for another torch fails in each of these ways.
        reason = str(error).splitlines()[0]
        raise FsbenchError(f"the face detector cannot be loaded with torch {torch.__version__}: {reason}",
                           "facenet-pytorch needs a torchvision that was built for this torch: "
                           "pip install --upgrade torch torchvision") from error
    # The order of channels makes max pooling vectorise: 2.4 times as fast on a CPU.
    return MTCNN(keep_all=True, device=device).to(memory_format=torch.channels_last)
