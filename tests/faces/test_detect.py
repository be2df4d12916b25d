from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from fsbench.errors import FsbenchError
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.detect import LONGEST, Detector, _by_prominence
from fsbench.images import shrink, to_float

# Where the face of the photograph is: eyes, nose tip, corners of the mouth, read off by eye.
ASTRONAUT = np.array([(203.5, 101.5), (247, 103.5), (224, 127), (203.5, 140.5), (245.5, 140.5)])


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(torch.device("cpu"))


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """(128, 128, 3) uint8 aligned crop of a real face."""
    return align(astronaut(), ASTRONAUT, 128)[0]


def test_a_face_is_found_where_it_is(detector: Detector) -> None:
    found = detector.detect_photo(astronaut())
    assert found.probability[0] > 0.99
    assert np.abs(found.landmarks[0] - ASTRONAUT).max() < 3
    left, top, right, bottom = found.boxes[0]
    assert left < 195 < 250 < right
    assert top < 95 < 160 < bottom


def test_a_large_photograph_gives_the_same_face(detector: Detector) -> None:
    large = np.asarray(Image.fromarray(astronaut()).resize((3 * LONGEST, 3 * LONGEST)))
    found = detector.detect_photo(large).landmarks[0] * 512 / (3 * LONGEST)
    assert np.abs(found - detector.detect_photo(astronaut()).landmarks[0]).max() < 2


def test_a_face_is_found_in_a_crop_of_any_size(detector: Detector, crop: np.ndarray) -> None:
    for size in (64, 128, 256, 512):
        image = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC))
        found = detector.detect_crops(to_float(image)[None])[0] / size
        assert np.abs(found - TEMPLATE).max() < 0.05


def garbled() -> torch.Tensor:
    """(N, 3, 128, 128) pictures of nothing: flat, noise of all scales, stripes."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.stack([torch.full((3, 128, 128), level) for level in (0.0, 0.5, 1.0)])
    noise = [
        torch.nn.functional.interpolate(torch.rand(4, 3, n, n, generator=generator), 128, mode="bilinear")
        for n in (2, 4, 8, 16, 32, 64, 128)
    ]
    stripes = (torch.arange(128) // 8 % 2).float().expand(1, 3, 128, 128)
    return torch.cat([flat, *noise, stripes])


def test_nothing_is_found_where_there_is_nothing(detector: Detector) -> None:
    found = detector.detect_crops(garbled())
    assert found.shape == (len(garbled()), 5, 2)
    assert np.isnan(found).all()


def test_the_batch_does_not_matter(detector: Detector, crop: np.ndarray) -> None:
    pixels = to_float(np.stack([np.roll(crop, shift, 1) for shift in range(-8, 9)]))
    pixels = torch.cat([pixels, garbled()])
    pixels = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))]
    together = detector.detect_crops(pixels)
    alone = np.concatenate([detector.detect_crops(image[None]) for image in pixels])
    assert np.isfinite(together).all((1, 2)).sum() == 17
    assert np.array_equal(np.isnan(together), np.isnan(alone))
    assert np.nanmax(np.abs(together - alone)) < 1e-3
    assert np.array_equal(detector.detect_crops(pixels), together, equal_nan=True)


@pytest.mark.parametrize("shape", [(5, 300, 3), (19, 19, 3), (1, 1, 3)])
def test_an_image_smaller_than_a_face_has_none(detector: Detector, shape: tuple[int, int, int]) -> None:
    found = detector.detect_photo(np.zeros(shape, np.uint8))
    assert found.probability.tolist() == [0]
    assert np.isnan(found.boxes).all()


@pytest.mark.parametrize(
    ("boxes", "probability", "order"),
    [
        ([(0, 0, 40, 40), (0, 0, 60, 60)], (0.99, 0.99), [1, 0]),  # the larger one is the first
        ([(0, 0, 40, 40), (80, 80, 120, 120)], (0.99, 0.99), [1, 0]),  # the more central one
        ([(80, 80, 100, 100), (60, 60, 140, 140)], (0.95, 0.8), [0]),  # the sure one alone
        ([(80, 80, 100, 100), (60, 60, 140, 140)], (0.8, 0.75), [1]),  # none is sure
    ],
)
def test_faces_by_prominence(boxes: list[tuple[int, ...]], probability: tuple[float, ...], order: list[int]) -> None:
    assert _by_prominence(np.array(boxes), np.array(probability), np.array((100, 100))).tolist() == order


def test_all_faces_of_a_photograph(detector: Detector) -> None:
    """The first is found alone, too; the others follow, the larger before the smaller."""
    photo = np.full((600, 1100, 3), 90, np.uint8)
    photo[44:556, 520:1032] = astronaut()
    for top, left, side in ((40, 20, 200), (300, 60, 300)):
        photo[top : top + side, left : left + side] = shrink(astronaut(), side)
    found = detector.detect_photo(photo)
    assert len(found.landmarks) == len(found.boxes) == len(found.probability) == 3
    goal = np.stack(
        [
            ASTRONAUT * side / 512 + np.array(place)
            for side, place in ((512, (520, 44)), (300, (60, 300)), (200, (20, 40)))
        ]
    )
    assert np.abs(found.landmarks - goal).max() < 6


def test_frames_are_searched_like_photographs(detector: Detector) -> None:
    frames = [shrink(astronaut(), 300), np.roll(shrink(astronaut(), 300), 40, 1)]
    for found, frame in zip(detector.detect_frames(frames), frames, strict=True):
        alone = detector.detect_photo(frame)
        assert np.array_equal(found.landmarks, alone.landmarks)
        assert np.array_equal(found.boxes, alone.boxes)


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(FsbenchError, match="face detector cannot be loaded") as caught:
        Detector(torch.device("cpu"))
    assert "facenet-pytorch" in caught.value.hint
