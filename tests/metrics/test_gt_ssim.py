"""Structural similarity by closed form (the formula on textured images is scikit-image's)."""

from __future__ import annotations

import pytest
import torch

from fsbench import contracts
from fsbench.metrics.gt_ssim import GtSsim, GtSsimCrop, ssim


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.8), (0.0, 1.0), (0.5, 0.5)])
def test_similarity_of_flat_images(first: float, second: float) -> None:
    """Without texture the means are left: (2 a b + C) / (a^2 + b^2 + C), C = 0.01^2 for images in [0, 1]."""
    images = (torch.full((2, 3, 16, 16), level) for level in (first, second))
    expected = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    assert ssim(*images).tolist() == pytest.approx([expected] * 2, abs=1e-6)


def test_only_the_mask_counts() -> None:
    exact, mask = torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, 1, 64, 64)
    output = exact.clone()
    output[..., 32:] = 0.0
    mask[..., :16] = 1.0  # farther from the change than the window reaches
    assert ssim(output, exact, mask).tolist() == pytest.approx([1.0])
    assert float(ssim(output, exact)) < 0.6


def test_a_row_is_the_similarity_to_the_exact_swap_in_the_mask_or_everywhere() -> None:
    batch = contracts.toy_batch(4)
    assert torch.equal(GtSsim().measure(batch), ssim(batch.output, batch.exact, batch.mask))
    assert torch.equal(GtSsimCrop().measure(batch), ssim(batch.output, batch.exact))
    assert not torch.equal(GtSsim().measure(batch), GtSsimCrop().measure(batch))
