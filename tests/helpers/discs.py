"""Painted frames: discs of strong colours stand for faces, and a detector of a few lines finds them."""

from __future__ import annotations

import numpy as np
import torch

from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detections

RED, BLUE, GREEN, GREY = (200, 30, 30), (30, 30, 200), (30, 200, 30), (120, 120, 120)
WIDTH, HEIGHT = 160, 96
Place = tuple[tuple[int, int, int], float, float, float]


def frame(*faces: Place, ground: tuple[int, int, int] = GREY) -> np.ndarray:
    """A picture of discs: colour, x, y and diameter of each."""
    image = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for colour, at, down, side in faces:
        image[(x - at) ** 2 + (y - down) ** 2 < (side / 2) ** 2] = colour
    return image


class DiscDetector:
    """Takes red and blue discs for faces, the larger first."""

    def __init__(self, device: torch.device) -> None:
        pass

    def detect_photo(self, image: np.ndarray) -> Detections:
        boxes = []
        for colour in (RED, BLUE):
            rows, columns = np.nonzero(np.abs(image.astype(int) - colour).max(-1) < 60)
            if len(rows) > 30:
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        boxes.sort(key=lambda box: -(box[2] - box[0]))
        if not boxes:
            return Detections(np.full((1, 4), np.nan), np.full((1, 5, 2), np.nan), np.zeros(1))
        edges = np.array(boxes, np.float32)
        side = (edges[:, 2:] - edges[:, :2]).mean(1)[:, None, None]
        points = (TEMPLATE - 0.5) * side + (edges[:, None, :2] + edges[:, None, 2:]) / 2
        return Detections(edges, points.astype(np.float32), np.ones(len(boxes), np.float32))

    def detect_frames(self, images: list[np.ndarray]) -> list[Detections]:
        return [self.detect_photo(image) for image in images]

    def detect_crops(self, crops: torch.Tensor) -> np.ndarray:
        return np.repeat((TEMPLATE * crops.shape[-1])[None], len(crops), 0)
