"""Golden values by hand: vectors in the plane before a judge whose impostor cosines are 0, 0.001, ... 0.999."""

from __future__ import annotations

import math

import pytest
import torch
from metric_identities import LOST, calibrated_batch, cosines, even_calibration, mirrored

from fsbench.metrics.id_equivalent_far import IdEquivalentFar


def test_the_equivalent_rate_is_the_share_of_impostors_at_least_as_similar() -> None:
    references = torch.cat([cosines(1.0), mirrored(0.6), cosines(1.0, 1.0, 1.0)])
    rows = IdEquivalentFar().measure(
        calibrated_batch(torch.cat([cosines(1.0, 0.6, -0.5), LOST]), references, even_calibration())
    )
    to_second = [0.6, 0.6 * 0.6 - 0.8 * 0.8, -0.5 * 0.6 - math.sqrt(0.75) * 0.8]  # cosines to ann's second image
    expected = [(0 + 1 - 0.6) / 2, (1 - 0.6 + 1) / 2, 1, 1]
    assert to_second[1] < 0 > to_second[2]
    assert rows.tolist() == pytest.approx(expected)
    assert IdEquivalentFar().summarise(rows.numpy()[:, None]) == pytest.approx(100 * (0.7 + 1) / 2)
