"""The region that networks see: geometry, cutting and pasting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench.contracts import toy_faces
from fsbench.faces.align import TEMPLATE
from fsbench.images import ImageSet
from reference_models.crops import (
    CENTRE,
    REGION,
    cut,
    eye_boxes,
    face_masks,
    landmark_map,
    match_colour,
    pack,
    paste,
    shrink,
)


def ramp(size: int) -> torch.Tensor:
    """An image whose red is x and green is y, as fractions of the side."""
    line = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])[None]


@pytest.mark.parametrize("size", [64, 128, 333])
def test_a_cut_shows_the_region(size: int) -> None:
    region = cut(ramp(size), 64)[0]
    at = (np.arange(64) + 0.5) / 64 - 0.5
    assert np.allclose(region[0, 20], CENTRE[0] + REGION * at, atol=2e-3)
    assert np.allclose(region[1, :, 20], CENTRE[1] + REGION * at, atol=2e-3)


@pytest.mark.parametrize("size", [64, 128, 250])
def test_pasting_what_was_cut_changes_nothing_of_a_smooth_image(size: int) -> None:
    crops = ramp(size)
    pasted = paste(cut(crops, 64), torch.ones(1, 1, 64, 64), crops)
    assert torch.allclose(pasted.images, crops, atol=3e-3)


def test_a_paste_stays_inside_and_fades_at_the_border() -> None:
    crops = torch.zeros(2, 3, 128, 128)
    pasted = paste(torch.ones(2, 3, 64, 64), torch.ones(2, 1, 64, 64), crops).images
    left, right = (CENTRE[0] - REGION / 2) * 128, (CENTRE[0] + REGION / 2) * 128
    assert pasted[..., : int(left)].max() == 0
    assert pasted[..., int(right) + 1 :].max() == 0
    assert pasted[:, :, 72, 64].min() > 0.9999
    assert pasted.diff(dim=-1).abs().max() < 0.35  # no visible seam: at least three pixels from nothing to all


def test_alpha_decides_how_much_is_pasted() -> None:
    crops = torch.zeros(1, 3, 128, 128)
    alpha = torch.full((1, 1, 64, 64), 0.25)
    pasted = paste(torch.ones(1, 3, 64, 64), alpha, crops)
    assert pasted.images[0, 0, 72, 64] == pytest.approx(0.25)
    assert pasted.alpha is not None
    assert torch.allclose(pasted.alpha, pasted.images, atol=1e-6)  # white on black shows the alpha itself


def test_large_images_are_shrunk_before_they_are_sampled() -> None:
    fine = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))  # noise, which would alias
    assert shrink(fine, 64).shape[-1] < 150
    assert cut(fine, 64).std() < 0.5 * fine.std()
    small = torch.rand(1, 3, 128, 128)
    assert shrink(small, 64) is small


def test_packed_images_are_bytes_of_the_same_content() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 64, 64, 5), np.uint8)
    packed = pack(ImageSet(pixels), 64, torch.device("cpu"))
    assert packed.dtype == torch.uint8
    assert np.array_equal(packed.permute(0, 2, 3, 1).numpy(), pixels)


def test_the_oval_covers_the_face_and_moves_with_it() -> None:
    landmarks = np.stack([TEMPLATE, TEMPLATE + np.array([0.125, 0])]) * 128
    faces = replace(toy_faces(1, 1, 2, 128), landmarks=landmarks.astype(np.float32), masks=None)
    masks = face_masks(faces).levels()[..., 0]
    for mask, points in zip(masks, landmarks, strict=True):
        assert all(mask[int(y), int(x)] == 255 for x, y in points)
        assert 0.15 < (mask > 127).mean() < 0.35
    assert np.abs(masks[0][:, :-16].astype(int) - masks[1][:, 16:]).max() <= 1


def test_eye_boxes_hold_the_eyes_and_not_the_mouth() -> None:
    mask = eye_boxes(TEMPLATE[None] * 128, 128)[0, ..., 0]
    eyes, mouth = TEMPLATE[:2] * 128, TEMPLATE[3:] * 128
    assert all(mask[int(y), int(x)] == 255 for x, y in eyes)
    assert all(mask[int(y), int(x)] == 0 for x, y in mouth)
    side = REGION * 128  # published half sizes: side / 15 and side / 8
    column = mask[:, int(eyes[0, 0])] > 127
    assert column.sum() == pytest.approx(2 * side / 15, abs=1.5)


@pytest.mark.parametrize("size", [64, 200])
def test_landmark_maps_have_a_dot_on_each_landmark(size: int) -> None:
    points = TEMPLATE[None] * size
    dots = landmark_map(points, size)[0, ..., 0] / 255
    assert dots.shape == (size, size)
    rows, columns = points[0, :, 1].astype(int), points[0, :, 0].astype(int)
    assert dots[rows, columns].min() > 0.7
    assert 0.005 < dots.mean() < 0.03  # nothing elsewhere: 5 dots of 2 pi sigma^2, sigma .0165 of the side
    assert dots[: size // 4].max() < 1e-3


def test_matched_colours_have_the_statistics_of_the_other_image() -> None:
    random = torch.Generator().manual_seed(0)
    image = 0.4 + 0.1 * torch.rand(2, 3, 32, 32, generator=random)
    like = 0.5 + 0.2 * torch.rand(2, 3, 32, 32, generator=random)
    weight = torch.zeros(2, 1, 32, 32)
    weight[..., 8:24, 8:24] = 1
    inside = match_colour(image, like, weight)[..., 8:24, 8:24]
    wanted = like[..., 8:24, 8:24]
    assert torch.allclose(inside.mean((2, 3)), wanted.mean((2, 3)), atol=1e-4)
    assert torch.allclose(inside.std((2, 3)), wanted.std((2, 3)), rtol=0.05)
    only_mean = match_colour(image, like, weight, spread=False)[..., 8:24, 8:24]
    assert torch.allclose(only_mean.mean((2, 3)), wanted.mean((2, 3)), atol=1e-4)
    assert torch.allclose(only_mean.std((2, 3)), image[..., 8:24, 8:24].std((2, 3)), atol=1e-5)
