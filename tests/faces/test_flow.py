"""Following optical flow, and where it holds, by closed form."""

from __future__ import annotations

import pytest
import torch

from fsbench.faces.flow import follow, visible

SIZE = 16
STILL = torch.zeros(1, 2, SIZE, SIZE)


def flow(right: float, down: float = 0.0) -> torch.Tensor:
    return torch.tensor([right, down])[None, :, None, None].expand(1, 2, SIZE, SIZE).clone()


def test_flow_leads_to_where_a_pixel_is_next() -> None:
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    moved = image.roll((2, 3), (2, 3))  # down, right
    torch.testing.assert_close(follow(moved, flow(3, 2))[..., :-2, :-3], image[..., :-2, :-3], atol=1e-5, rtol=0)
    half = follow(image, flow(0.5))[..., :-1]
    torch.testing.assert_close(half, (image[..., :-1] + image[..., 1:]) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(follow(image, flow(100)), image[..., -1:].expand_as(image), atol=1e-5, rtol=0)


def test_everything_is_seen_where_the_way_back_closes() -> None:
    assert visible(STILL, STILL).all()
    assert visible(flow(3), flow(-3)).all()


@pytest.mark.parametrize(("gap", "seen"), [(0.7, True), (0.72, False), (3.0, False)])
def test_a_way_that_does_not_close_is_not_seen(gap: float, seen: bool) -> None:
    """Half a squared pixel is allowed at rest, and a hundredth of the squared flow: here gap^2 <= .01 gap^2 + .5."""
    assert visible(STILL, flow(gap)).all() == seen
    assert visible(STILL, flow(gap)).any() == seen


def test_a_border_of_motion_is_not_seen() -> None:
    forward = STILL.clone()
    forward[..., 8:] = 2.0  # of both components
    seen = visible(forward, follow(-forward, forward))[0, 0]
    assert not seen[:, 7].any(), "the last column at rest: its right neighbour moves"
    assert seen[:, :7].all()
    assert seen[:, 9:13].all()
