from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fsbench.faces.align import TEMPLATE, align, similarity
from fsbench.images import to_bytes, to_float


def turn(scale: float, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(("scale", "degrees", "shift"), [(1, 0, (0, 0)), (2.5, 30, (7, -3)), (0.1, -170, (100, 4))])
def test_a_similarity_is_found_again(scale: float, degrees: float, shift: tuple[float, float]) -> None:
    matrix = similarity(TEMPLATE, TEMPLATE @ turn(scale, degrees).T + shift)
    assert np.allclose(matrix, np.column_stack([turn(scale, degrees), shift]))


def test_least_squares_against_skimage() -> None:
    transform = pytest.importorskip("skimage.transform")
    random = np.random.default_rng(0)
    points, goal = random.normal(size=(2, 6, 5, 2))
    goal += 1.5 * points  # else the best similarity without reflection may be no minimum
    for p, g, found in zip(points, goal, similarity(points, goal), strict=True):
        assert np.allclose(found, transform.SimilarityTransform.from_estimate(p, g).params[:2])


def picture(size: int) -> np.ndarray:
    """A smooth picture, the same at every size."""
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    levels = np.stack([x, y, 0.5 + 0.4 * np.sin(9 * x) * np.cos(7 * y)], -1)
    return (255 * levels).round().astype(np.uint8)


@pytest.mark.parametrize("size", [100, 128, 200, 320, 900])
def test_a_crop_of_the_whole_picture_is_the_picture(size: int) -> None:
    crop, landmarks = align(picture(size), TEMPLATE * size, 128)
    assert np.abs(crop.astype(int) - picture(128).astype(int))[2:-2, 2:-2].max() <= 2
    assert np.allclose(landmarks, TEMPLATE * 128, atol=1e-3)


def test_the_landmarks_arrive_at_the_template() -> None:
    image = np.zeros((400, 300, 3), np.uint8)
    points = (TEMPLATE - 0.5) @ turn(140, 25).T + (150, 180)
    for x, y in points:
        image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    crop, landmarks = align(image, points, 128)
    assert np.allclose(landmarks, TEMPLATE * 128, atol=1e-3)
    for x, y in landmarks:
        near = crop[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6, 0].astype(float)
        rows, columns = np.indices(near.shape) + 0.5
        centre = np.array([(columns * near).sum(), (rows * near).sum()]) / near.sum() + (int(x) - 5, int(y) - 5)
        assert np.abs(centre - (x, y)).max() < 0.7


@pytest.mark.parametrize("size", [170, 250, 1000, 3000])
def test_a_fine_pattern_does_not_alias(size: int) -> None:
    rows = np.arange(size)
    image = np.where((rows[:, None] + rows) % 2, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    crop, _ = align(image, TEMPLATE * size, 128)
    worst = np.abs(crop[4:-4, 4:-4].astype(int) - 128).max()
    assert worst <= (60 if size < 256 else 3)  # below 2 : 1 some of the pattern is really there to be seen


def test_border_pixels_are_repeated_beyond_the_image() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    crop, _ = align(image, TEMPLATE * 100 + (40, -30), 128)
    assert (crop == 90).all()


def crop_of_the_whole(image: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """What `align` should give, sampled from the whole image, in double precision."""
    to_crop = similarity(landmarks, TEMPLATE * size)
    scale = math.hypot(*to_crop[:, 0])
    block = max(1, math.floor(1 / scale))
    blocks = to_float(np.asarray(Image.fromarray(image).reduce(block)))[None].double()
    finer = 1 if scale * block >= 1 else 2
    place = (np.arange(size * finer) + 0.5) / finer
    points = (np.stack(np.meshgrid(place, place), -1) - to_crop[:, 2]) @ np.linalg.inv(to_crop[:, :2]).T
    grid = 2 * points / (blocks.shape[3] * block, blocks.shape[2] * block) - 1
    crop = F.grid_sample(blocks, torch.from_numpy(grid)[None], "bicubic", "border", align_corners=False)
    return to_bytes(F.avg_pool2d(crop, finer))[0]


@pytest.mark.parametrize("side", [30, 64, 100, 150, 290, 700])  # of the face; 1 to 10 pixels of the image in a block
@pytest.mark.parametrize(
    "centre",
    [(0.5, 0.5), (0.02, 0.3), (0.99, 0.6), (0.4, 0.01), (0.7, 1), (0, 0), (1, 1), (-3, 0.5), (4, 4), (0.5, -2)],
)
def test_only_the_part_around_the_face_is_read(side: int, centre: tuple[float, float]) -> None:
    image = np.random.default_rng(side).integers(0, 256, (311, 407, 3), np.uint8)
    points = (TEMPLATE - 0.5) @ turn(side, 33).T + np.array(centre) * (407, 311)
    difference = align(image, points, 64)[0].astype(int) - crop_of_the_whole(image, points, 64)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


@pytest.mark.parametrize("side", [100, 2000])
def test_memory_does_not_grow_with_the_photograph(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def recorded(pixels: np.ndarray) -> torch.Tensor:
        shapes.append(pixels.shape)
        return to_float(pixels)

    monkeypatch.setattr("fsbench.faces.align.to_float", recorded)
    image = np.zeros((6000, 4000, 3), np.uint8)
    points = (TEMPLATE - 0.5) @ turn(side, 45).T + (2000, 3000)
    tracemalloc.start()
    align(image, points, 128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (shape,) = shapes
    assert max(shape[:2]) <= 2 * 128 * math.sqrt(2) + 6
    assert peak < 40e6  # the photograph has 72e6; a face of 2000 pixels, turned, 24e6
