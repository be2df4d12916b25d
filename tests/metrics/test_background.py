"""Background by closed form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fsbench import contracts
from fsbench.metrics._skin import grown
from fsbench.metrics.background import Background

BATCH = contracts.toy_batch(6)


@pytest.mark.parametrize("levels", [1.0, 20.0])
def test_a_constant_outside_the_face_is_the_background(levels: float) -> None:
    outside = ~grown(BATCH.mask > 0.5)
    batch = replace(BATCH, output=BATCH.target + levels / 255 * outside)
    assert Background().measure(batch).tolist() == pytest.approx([levels] * 6, rel=1e-4)


@pytest.mark.parametrize("size", [1, 32, 48, 64, 129])
def test_a_grown_mask_holds_what_is_within_three_per_cent_of_it(size: int) -> None:
    mask = torch.rand((3, 1, size, size), generator=torch.Generator().manual_seed(size)) > 0.98
    reach, before = max(1, round(0.03 * size)), mask.clone()
    expected = torch.nn.functional.max_pool2d(mask.float(), 2 * reach + 1, 1, reach) > 0.5
    assert torch.equal(grown(mask), expected)
    assert torch.equal(mask, before), "the mask that it is given stays"


def test_what_changes_in_the_face_and_at_its_border_is_no_background() -> None:
    batch = replace(BATCH, output=BATCH.target + grown(BATCH.mask > 0.5) * torch.rand_like(BATCH.target))
    assert Background().measure(batch).tolist() == [0.0] * 6


def test_a_change_counts_by_its_share_of_the_background() -> None:
    left, outside = torch.arange(64) < 20, ~grown(BATCH.mask[:1] > 0.5)
    batch = replace(BATCH, output=BATCH.target - 10 / 255 * left)
    share = float((left & outside).sum() / outside.sum())
    assert 0.2 < share < 0.8
    assert Background().measure(batch).tolist() == pytest.approx([10 * share] * 6, rel=1e-4)
