"""Fréchet distances: closed form, symmetry, and what their intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import class_name, copied_rows, interval_coverage, made_up_rows, value

from fsbench.interfaces import DistributionMetric
from fsbench.metrics.fid import Fid, FidClean, FidFace
from fsbench.metrics.fid_infinity import FidInfinity

FRECHET = [Fid(), FidClean(), FidFace()]


@pytest.mark.parametrize("metric", FRECHET, ids=class_name)
def test_a_shift_adds_its_square_in_every_dimension(metric: DistributionMetric) -> None:
    rows = copied_rows()
    rows[:, :12] += 0.3
    assert value(metric, rows) == pytest.approx(12 * 0.09, rel=1e-9)


@pytest.mark.parametrize("metric", [*FRECHET, FidInfinity()], ids=class_name)
def test_frechet_distances_are_symmetric(metric: DistributionMetric) -> None:
    rows = made_up_rows(shift=0.2)
    swapped = np.concatenate([rows[:, 12:], rows[:, :12]], 1)
    assert value(metric, rows) == pytest.approx(value(metric, swapped), rel=1e-8 if metric in FRECHET else 0.5)


def test_the_interval_of_fid_covers_its_spread() -> None:
    """More images than dimensions, and a distance that is not 0: binomial error 1.8 points."""
    assert (
        0.91
        <= interval_coverage(Fid(), lambda seed: (made_up_rows(100, 4, shift=0.5, seed=seed), np.arange(100)))
        <= 0.995
    )


def test_the_interval_of_fid_is_wide_rather_than_narrow_with_fewer_images_than_dimensions() -> None:
    assert (
        interval_coverage(Fid(), lambda seed: (made_up_rows(40, 60, shift=0.2, seed=seed), np.arange(40)), 60) >= 0.95
    )
