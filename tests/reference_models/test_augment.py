"""Augmentation on the device: geometry, colour, statistics, determinism."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from fsbench.faces.align import similarity
from reference_models.augment import (
    Augmentation,
    TrainingImages,
    apply_recolouring,
    colour_statistics,
    draw_batch,
    draw_grids,
    draw_recolouring,
    knots,
    similarity_part,
)
from reference_models.crops import region_grid

CPU = torch.device("cpu")
STILL = Augmentation(rotation=0, zoom=0, shift=0, flip=0, warp=0, spread=0, recolour=0)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_without_variation_the_region_itself_is_read() -> None:
    straight, warped = draw_grids(3, 16, STILL, rng(), CPU)
    assert torch.allclose(straight, region_grid(16, CPU).expand(3, -1, -1, -1), atol=1e-6)
    assert torch.equal(straight, warped)


def test_without_warp_both_images_are_read_at_the_same_points() -> None:
    straight, warped = draw_grids(8, 16, Augmentation(warp=0), rng(), CPU)
    assert torch.equal(straight, warped)
    assert (straight[0] - straight[1]).abs().max() > 0.01


def test_affine_parts_stay_within_their_bounds_and_fill_them() -> None:
    how = Augmentation(rotation=10, zoom=0.1, shift=0.1, flip=0.5, warp=0, spread=0)
    grid, _ = draw_grids(4000, 2, how, rng(), CPU)
    across = grid[:, 0, 1] - grid[:, 0, 0]  # the upper edge, (1, 0) where nothing is varied
    scale = across.norm(dim=-1)
    turn = torch.rad2deg(torch.atan2(across[:, 1], across[:, 0].abs()))
    middle = grid.mean((1, 2))
    assert 0.9 <= scale.min() < 0.905
    assert 1.095 < scale.max() <= 1.1001
    assert 9.8 < turn.abs().max() <= 10.001
    assert 0.098 < middle.abs().max() <= 0.1001
    assert (across[:, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.03)


def test_the_similarity_part_is_the_least_squares_fit() -> None:
    jitter = torch.randn(1, 5, 5, 2, generator=rng()) * 0.05
    points = knots(CPU).reshape(-1, 2).numpy()
    moved = points + jitter.reshape(-1, 2).numpy()
    matrix = similarity(points, moved)  # the aligner's Umeyama fit is the oracle
    fitted = points @ matrix[:, :2].T + matrix[:, 2] - points
    assert np.allclose(similarity_part(jitter, knots(CPU)).reshape(-1, 2), fitted, atol=1e-5)


def test_a_jitter_that_is_a_similarity_warps_nothing() -> None:
    x, y = knots(CPU).unbind(-1)
    jitter = torch.stack([0.1 * x - 0.05 * y + 0.02, 0.05 * x + 0.1 * y - 0.03], -1)[None]
    assert torch.allclose(similarity_part(jitter, knots(CPU)), jitter, atol=1e-6)


def test_the_warp_has_the_deviation_that_was_asked_for() -> None:
    how = Augmentation(rotation=0, zoom=0, shift=0, flip=0, warp=0.08, spread=0)
    straight, warped = draw_grids(2000, 5, how, rng(), CPU)
    rest = (warped - straight)[:, 2, 2]  # the middle point of a 5 x 5 grid is a knot
    expected = 0.08 * (1 - 1 / 25) ** 0.5  # shift takes a 25th of the variance; turn and growth none there
    assert rest.std().item() == pytest.approx(expected, rel=0.05)


def test_statistics_are_those_of_the_centre() -> None:
    images = torch.rand(2, 3, 64, 64, generator=rng())
    centre = images[..., 16:48, 16:48]
    found = colour_statistics(images)
    assert found.shape == (2, 2, 2, 3)
    assert torch.allclose(found[:, 0, 0], centre.mean((2, 3)), atol=1e-6)
    assert torch.allclose(found[:, 0, 1], centre.std((2, 3)), atol=1e-5)
    grey = torch.full((1, 3, 8, 8), 0.5)  # white of sRGB has X .9505, Y 1, Z 1.0891
    assert torch.allclose(colour_statistics(grey)[0, 1, 0], 0.5 * torch.tensor([0.9505, 1.0, 1.0891]), atol=1e-3)


def test_recolouring_moves_between_own_and_other_statistics() -> None:
    random = rng()
    images = 0.3 + 0.1 * torch.rand(400, 3, 16, 16, generator=random)
    other = 0.6 + 0.1 * torch.rand(1, 3, 16, 16, generator=random)
    matrix, offset = draw_recolouring(colour_statistics(images), colour_statistics(other), 0.5, random)
    moved = apply_recolouring(images, matrix, offset)
    untouched = torch.isclose(moved, images, atol=1e-5).flatten(1).all(1)
    assert untouched.float().mean() == pytest.approx(0.5, abs=0.08)
    share = (moved.mean((1, 2, 3)) - 0.35)[~untouched] / 0.3
    assert share.min() > -0.02
    assert share.max() < 1.02
    assert share.mean() == pytest.approx(0.5, abs=0.1)  # uniform between own and other


def test_recolouring_to_oneself_changes_nothing() -> None:
    image = torch.rand(1, 3, 16, 16, generator=rng())
    own = colour_statistics(image)
    for seed in range(6):  # both colour spaces
        moved = apply_recolouring(image, *draw_recolouring(own, own, 1.0, rng(seed)))
        assert torch.allclose(moved, image, atol=1e-4)


def test_batches_repeat_with_the_seed_and_keep_masks_apart_from_colours() -> None:
    crops = torch.randint(0, 256, (10, 5, 64, 64), generator=rng(), dtype=torch.uint8)
    crops[:, 3] = 255
    crops[:, 4] = 0
    images = TrainingImages.of(crops)
    first, again, other = (draw_batch(images, images.colours, 4, 64, Augmentation(), rng(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first[:4], again[:4], strict=True))
    assert not torch.equal(first.real, other.real)
    assert [part.shape[1] for part in first[:4]] == [3, 3, 1, 1]
    assert first.landmarks is None
    assert first.face.min() > 0.999
    assert first.eyes.max() == 0
    assert not torch.equal(first.warped, first.real)


def plain(*levels: int, n_channels: int = 5) -> Tensor:
    """Images of one level each, (N, C, 8, 8) uint8."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, n_channels, 8, 8)


def test_images_are_drawn_by_their_chances() -> None:
    images = TrainingImages.of(plain(0, 100, 200), torch.tensor([1.0, 0.0, 3.0]))
    drawn = draw_batch(images, images.colours, 4000, 4, STILL, rng()).real[:, 0, 0, 0] * 255
    assert set(drawn.round().tolist()) == {0, 200}
    assert (drawn > 150).float().mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_images_with_another_persons_part_are_drawn_by_their_probability(probability: float) -> None:
    images = TrainingImages.of(plain(100), swapped=plain(200)[:, :3])
    how = dataclasses.replace(STILL, part_swaps=probability)
    batch = draw_batch(images, images.colours, 2000, 4, how, rng())
    swapped = batch.real[:, 0, 0, 0] > 0.6
    assert swapped.float().mean() == pytest.approx(probability, abs=0.03)
    assert torch.equal(batch.warped[:, 0, 0, 0] > 0.6, swapped)  # what is asked for is what is shown
    assert torch.allclose(batch.face, torch.tensor(100 / 255))  # masks are the image's own


def test_maps_of_landmarks_follow_the_warped_image_and_are_blank_at_times() -> None:
    crops = torch.zeros(1, 6, 64, 64, dtype=torch.uint8)
    crops[:, 5] = crops[:, 0] = torch.arange(64).repeat(64, 1) * 4  # the map is the image's red
    images = TrainingImages.of(crops)
    how = Augmentation(recolour=0)
    batch = draw_batch(images, images.colours, 1000, 16, how, rng())
    assert batch.landmarks is not None
    assert batch.landmarks.shape == (1000, 1, 16, 16)
    blank = (batch.landmarks == 0).all(3).all(2)[:, 0]
    assert blank.float().mean() == pytest.approx(0.3, abs=0.04)
    assert torch.allclose(batch.landmarks[~blank, 0], batch.warped[~blank, 0], atol=1e-6)
    assert batch.eyes.shape == (1000, 1, 16, 16)
    assert batch.eyes.max() == 0
