"""Parts of faces exchanged between look-alikes: exact solutions of Laplace's equation, boxes, neighbours."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from fsbench.faces.align import TEMPLATE
from reference_models.part_swaps import PARTS, harmonic, look_alikes, poisson_blend, swap_parts


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")


@pytest.mark.parametrize(("height", "width"), [(3, 3), (5, 9), (24, 17)])
def test_polynomials_whose_second_differences_cancel_are_their_own_solution(height: int, width: int) -> None:
    y, x = grid(height, width)
    for exact in (torch.ones_like(x), 2 * x - 3 * y + 1, x * y, x**2 - y**2, x**3 - 3 * x * y**2):
        broken = exact.clone()
        broken[1:-1, 1:-1] = torch.rand(height - 2, width - 2, generator=rng()) * 100
        assert torch.allclose(harmonic(broken), exact, atol=1e-3)


def test_inside_every_pixel_is_the_mean_of_its_neighbours_and_the_border_stays() -> None:
    given = torch.rand(2, 3, 11, 14, generator=rng())
    x = harmonic(given)
    around = (x[..., 1:-1, :-2] + x[..., 1:-1, 2:] + x[..., :-2, 1:-1] + x[..., 2:, 1:-1]) / 4
    assert torch.allclose(x[..., 1:-1, 1:-1], around, atol=1e-6)
    for part in (x - given)[..., 0, :], (x - given)[..., -1, :], (x - given)[..., :, 0], (x - given)[..., :, -1]:
        assert not part.any()


def test_a_blend_has_the_border_of_the_image_and_the_gradients_of_the_patch() -> None:
    image, patch = torch.rand(3, 12, 15, generator=rng()), torch.rand(3, 12, 15, generator=rng(1))
    blended = poisson_blend(image, patch)
    assert torch.allclose(blended[:, 0], image[:, 0])
    laplacians = [
        x[:, 1:-1, :-2] + x[:, 1:-1, 2:] + x[:, :-2, 1:-1] + x[:, 2:, 1:-1] - 4 * x[:, 1:-1, 1:-1]
        for x in (blended, patch)
    ]
    assert torch.allclose(*laplacians, atol=1e-5)
    assert torch.allclose(poisson_blend(image, image + 0.3), image, atol=1e-6)  # another light is no difference
    assert torch.allclose(poisson_blend(image, image), image, atol=1e-6)


def test_the_look_alike_has_the_nearest_landmarks() -> None:
    others = torch.rand(300, 5, 2, generator=rng())
    wanted = torch.randperm(300, generator=rng())
    shaken = others[wanted] + 1e-3 * torch.randn(300, 5, 2, generator=rng())
    assert torch.equal(look_alikes(shaken, others), wanted)


def test_one_part_of_each_image_is_the_look_alikes() -> None:
    n, side = 24, 96
    at = torch.from_numpy(TEMPLATE).expand(n, 5, 2)
    y, x = grid(side, side)
    own = (x + 20).expand(n, 3, side, side).byte()  # a ramp
    others = (x + 20 + 40 * ((x + y) % 2)).expand(2, 3, side, side).byte()  # the same with a checkerboard
    swapped = swap_parts(own, at, others, at[:2], rng())
    changed = (swapped != own).any(1)
    sizes = set()
    for each in changed:
        rows, columns = each.any(1).nonzero()[:, 0], each.any(0).nonzero()[:, 0]
        sizes.add((len(rows) + 2, len(columns) + 2))  # the border of a box stays
    boxes = {(round(height * side), round(width * side)) for _, (height, width) in PARTS.values()}
    assert all(any(abs(h - a) <= 1 and abs(w - b) <= 1 for a, b in boxes) for h, w in sizes)
    assert len(sizes) == 3  # eyes, nose and mouth
    again = swap_parts(own, at, others, at[:2], rng())
    assert torch.equal(swapped, again)
    assert not torch.equal(swapped, swap_parts(own, at, others, at[:2], rng(1)))


def test_a_part_at_the_border_stays_inside_the_image() -> None:
    at = torch.zeros(8, 5, 2)
    at[4:] = 1
    images = torch.randint(0, 256, (8, 3, 40, 40), generator=rng(), dtype=torch.uint8)
    assert swap_parts(images, at, images.flip(0), at, rng()).shape == images.shape
