"""Painted people: a colour is a person, so that a judge and a detector of a few lines know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench.faces import detect
from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import EmbedderInfo
from fsbench.png import write_png
from fsbench.registry import embedders, load_plugins

COLOURS = {"ann": (200, 40, 40), "bob": (40, 40, 200), "eve": (40, 200, 40), "zoe": (200, 200, 40), "nobody": (0, 0, 0)}
Photograph = Callable[..., None]


class FakeDetector:
    """Finds a face in the middle of every image that is not black; the first pixel says how far beside it.

    In an image more than twice as wide as high it finds two, a larger one in the left half and a smaller in the right.
    """

    def __init__(self, device: torch.device) -> None:
        pass

    def detect_photo(self, image: np.ndarray) -> detect.Detections:
        height, width = image.shape[:2]
        seen = image.mean() > 5
        if width > 2 * height:
            sides, middles = height * np.array((0.5, 0.4)), width * np.array((0.25, 0.75))
            points = (TEMPLATE - 0.5) * sides[:, None, None] + np.stack([middles, [height / 2] * 2], 1)[:, None]
            return detect.Detections(np.zeros((2, 4), np.float32), points.astype(np.float32), np.ones(2, np.float32))
        side = min(height, width) / 2
        beside = (float(image[0, 0, 0]) / 255 - 0.5) * 10
        landmarks = (TEMPLATE - 0.5) * side + (width / 2 + beside, height / 2)
        found = np.where(seen, landmarks, np.nan).astype(np.float32)
        return detect.Detections(np.zeros((1, 4), np.float32), found[None], np.array([float(seen)], np.float32))

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        seen = (crops.mean((1, 2, 3)) > 0.02).numpy()[:, None, None]
        return np.where(seen, TEMPLATE * crops.shape[-1], np.nan).astype(np.float32)


class ColourJudge:
    """Knows people by their colour."""

    def __init__(self) -> None:
        self.info = EmbedderInfo(family="colour", dim=3, weights=(), description="mean colour")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return crops.mean((2, 3)) - 0.4


def paint(patch: pytest.MonkeyPatch) -> None:
    """Put the detector and the judge `colour` for painted people in place."""
    load_plugins()  # the judge is the last to register, and goes alone
    patch.setattr(detect, "Detector", FakeDetector)
    patch.setattr(embedders, "_entries", dict(embedders._entries))
    embedders.register("colour")(ColourJudge)


@pytest.fixture(autouse=True)
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is about painted people; it may put a detector of its own in place, which is undone first."""
    paint(monkeypatch)


@contextmanager
def painting() -> Iterator[None]:
    """Detector and judge for painted people in a `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        paint(patch)
        yield


@pytest.fixture(scope="session")
def painted_now() -> Callable[[], AbstractContextManager[None]]:
    """The same for what a fixture of a whole file does, before any test: `with painted_now(): ...`."""
    return painting


@pytest.fixture(scope="session")
def photograph() -> Photograph:
    """Write a noisy picture of a person: photograph(path, person, seed, size=(height, width), first=...)."""
    return write


def write(path: Path, person: str, seed: int, size: tuple[int, int] = (80, 100), first: int = 128) -> None:
    """Write a noisy picture of a person, (height, width) pixels."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3)) * 8 if person != "nobody" else 0
    pixels = np.clip(np.broadcast_to(COLOURS[person], (*size, 3)) + noise, 0, 255).round().astype(np.uint8)
    if person != "nobody":
        pixels[0, 0] = first
    write_png(path, pixels)
