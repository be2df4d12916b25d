from __future__ import annotations

import numpy as np
import pytest
import torch

from fsbench.faces.align import TEMPLATE
from fsbench.faces.chips import ARCFACE, cut_chips


def turned(template: np.ndarray, scale: float, degrees: float, centre: tuple[float, float]) -> np.ndarray:
    """Landmarks (5, 2) of a chip whose side is `scale` pixels of the crop, turned about its centre."""
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((template - 0.5) @ turn.T + centre).astype(np.float32)


def tensor(*landmarks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(landmarks).astype(np.float32))


def noise(n: int, size: int) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_arcface_is_the_published_template_in_pixels_of_112() -> None:
    published = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    assert np.allclose(ARCFACE * 112, published, atol=1e-4)


def test_landmarks_on_the_template_leave_the_crop_as_it_is() -> None:
    crops = noise(2, 96)
    chips = cut_chips(crops, tensor(TEMPLATE * 96, TEMPLATE * 96), TEMPLATE, 96)
    assert torch.allclose(chips, crops, atol=1e-4)


@pytest.mark.parametrize(("scale", "degrees"), [(40, 0), (70, 33), (90, -120), (130, 12), (300, 5)])
def test_a_plane_is_cut_in_closed_form(scale: float, degrees: float) -> None:
    """Sampling and averaging keep a linear ramp exactly; so each chip pixel must hold the ramp at its own place."""
    size, chip, centre = 400, 56, (210.0, 190.0)
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    crops = torch.stack([x / size, y / size, (x + y) / size / 2])[None]
    found = cut_chips(crops, tensor(turned(ARCFACE, scale, degrees, centre)), ARCFACE, chip)
    place = (np.arange(chip) + 0.5) / chip
    grid = np.stack(np.meshgrid(place, place), -1).reshape(-1, 2)
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = ((grid - 0.5) @ turn.T + centre).reshape(chip, chip, 2) / size
    assert np.abs(found[0, :2].numpy() - expected.transpose(2, 0, 1)).max() < 1e-3
    assert np.abs(found[0, 2].numpy() - expected.mean(-1)).max() < 1e-3


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_a_fine_pattern_does_not_alias(size: int) -> None:
    rows = torch.arange(size)
    board = ((rows[:, None] + rows) % 2).float().expand(1, 3, size, size)
    chips = cut_chips(board, tensor(turned(ARCFACE, 0.72 * size, 0, (size / 2, size / 2))), ARCFACE, 112)
    worst = float((chips - 0.5).abs().max())
    assert worst < (0.3 if size == 256 else 0.15)  # 184 pixels on 112: some of the pattern is there to be seen


def test_border_pixels_are_repeated_beyond_the_crop() -> None:
    crops = torch.full((1, 3, 64, 64), 0.3)
    crops[..., :32] = 0.7
    chips = cut_chips(crops, tensor(turned(ARCFACE, 64, 0, (-40, 90))), ARCFACE, 32)
    assert torch.allclose(chips, torch.tensor(0.7))


def test_a_chip_does_not_depend_on_the_batch() -> None:
    crops = noise(4, 128)
    landmarks = tensor(*(turned(ARCFACE, scale, 9, (60, 66)) for scale in (60, 92, 130, 250)))
    together = cut_chips(crops, landmarks, ARCFACE, 56)
    for i in range(4):
        assert torch.equal(together[i], cut_chips(crops[i : i + 1], landmarks[i : i + 1], ARCFACE, 56)[0])


def test_no_crops_and_no_use() -> None:
    assert cut_chips(noise(0, 64), torch.zeros(0, 5, 2), ARCFACE, 32).shape == (0, 3, 32, 32)
    wild = turned(ARCFACE, 1e5, 0, (32, 32))  # bounded memory, whatever the landmarks say
    assert cut_chips(noise(1, 64), tensor(wild), ARCFACE, 32).isfinite().all()


def test_landmarks_that_coincide_give_nan_and_harm_no_other() -> None:
    crops = noise(2, 64)
    good = turned(ARCFACE, 46, 0, (32, 32))
    chips = cut_chips(crops, tensor(np.full((5, 2), 30.0), good), ARCFACE, 32)
    assert chips[0].isnan().all()
    assert torch.equal(chips[1], cut_chips(crops[1:], tensor(good), ARCFACE, 32)[0])
