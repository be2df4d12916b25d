"""What PSNR and SSIM against the exact swap share: invariants, and what cannot be scored."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.metrics.gt_psnr import GtPsnr, GtPsnrCrop
from fsbench.metrics.gt_ssim import GtSsim, GtSsimCrop

BATCH = contracts.toy_batch(6)


def against_itself(shift: float = 0.0):
    assert BATCH.exact is not None
    exact = BATCH.exact.double() * 0.5 + 0.25
    return contracts.with_evidence(replace(BATCH, output=exact + shift), exact=exact)


def test_the_same_image_gets_the_cap_and_not_infinity() -> None:
    assert GtPsnr().measure(against_itself()).tolist() == pytest.approx([10 * math.log10(12 * 255**2)] * 6)
    assert GtSsim().measure(against_itself()).tolist() == pytest.approx([1.0] * 6)


@pytest.mark.parametrize("metric", [GtPsnr(), GtSsim()])
def test_what_lies_outside_the_mask_does_not_count(metric: GtPsnr | GtSsim) -> None:
    batch = against_itself(0.03)
    assert batch.mask is not None
    far = torch.nn.functional.max_pool2d(batch.mask, 15, 1, 7) < 0.5  # beyond the reach of the window
    spoilt = replace(batch, output=torch.where(far, torch.zeros_like(batch.output), batch.output))
    assert torch.allclose(metric.measure(batch), metric.measure(spoilt))


def test_the_whole_crop_counts_what_lies_outside_the_mask() -> None:
    """An error in a part of the crop's pixels alone: their share of it is what the mean squared error falls by."""
    base, part = against_itself(), torch.arange(64) < 8
    spoilt = replace(base, output=base.output + 0.1 * part)
    assert GtPsnr().measure(spoilt).tolist() == GtPsnr().measure(base).tolist()
    assert GtPsnrCrop().measure(spoilt).tolist() == pytest.approx([-10 * math.log10(0.01 / 8)] * 6)
    assert (GtSsimCrop().measure(spoilt) < 1).all()


def test_with_a_mask_of_everything_both_are_the_same() -> None:
    whole = replace(BATCH, mask=torch.ones_like(BATCH.mask))
    assert torch.equal(GtPsnr().measure(whole), GtPsnrCrop().measure(BATCH))
    assert torch.equal(GtSsim().measure(whole), GtSsimCrop().measure(BATCH))


@pytest.mark.parametrize("metric", [GtPsnr(), GtSsim(), GtPsnrCrop(), GtSsimCrop()])
def test_more_noise_scores_lower(metric: GtPsnr | GtSsim) -> None:
    noise = torch.randn(BATCH.output.shape, generator=torch.Generator().manual_seed(0))
    base = against_itself()
    means = [
        metric.summarise(metric.measure(replace(base, output=base.output + s * noise)).numpy()[:, None])
        for s in (0.01, 0.02, 0.05, 0.1, 0.2)
    ]
    assert np.all(np.diff(means) < 0)


def test_an_empty_mask_is_not_scored_and_no_truth_is_said() -> None:
    assert BATCH.mask is not None
    empty = replace(BATCH, mask=torch.zeros_like(BATCH.mask))
    assert GtPsnr().measure(empty).isnan().all()
    assert GtPsnrCrop().measure(empty).isfinite().all()
    with pytest.raises(NotScorable, match="nobody knows"):
        GtPsnr().measure(contracts.with_evidence(BATCH, exact=NotScorable("nobody knows")))
