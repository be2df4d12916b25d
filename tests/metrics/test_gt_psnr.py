"""Signal-to-noise ratio by closed form, inside the mask and over the whole crop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from fsbench import contracts
from fsbench.interfaces import Batch
from fsbench.metrics.gt_psnr import GtPsnr, GtPsnrCrop, psnr

BATCH = contracts.toy_batch(6)


def shifted(shift: float) -> Batch:
    exact = BATCH.exact.double() * 0.5 + 0.25
    return contracts.with_evidence(replace(BATCH, output=exact + shift), exact=exact)


@pytest.mark.parametrize("metric", [GtPsnr(), GtPsnrCrop()])
@pytest.mark.parametrize("shift", [0.1, 0.01, -0.05])
def test_psnr_of_a_constant_error(metric: GtPsnr, shift: float) -> None:
    assert metric.measure(shifted(shift)).tolist() == pytest.approx([-20 * math.log10(abs(shift))] * 6)


def test_psnr_is_a_function_of_images() -> None:
    exact, output, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    output[:, :, :4], mask[0, :, :2], mask[1, :, 2:6] = 0.1, 1.0, 1.0
    assert psnr(output, exact).tolist() == pytest.approx([-10 * math.log10(0.01 / 2)] * 2)
    assert psnr(output, exact, mask).tolist() == pytest.approx([20, -10 * math.log10(0.01 / 2)])
    assert psnr(output, exact, 0 * mask).isnan().all()
