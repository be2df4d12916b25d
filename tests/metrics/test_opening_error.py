"""Openings of mouth and eyes: known distances."""

from __future__ import annotations

import pytest
import torch
from metric_observations import N, observed_batch

from fsbench.metrics.opening_error import OpeningError


def test_opening_error_is_the_distance_of_the_openings() -> None:
    target = torch.full((N, 3), 10.0)
    moved = target + torch.tensor([3.0, 0.0, -4.0])
    measured = OpeningError().measure(observed_batch({"openings": moved}, {"openings": target}))
    assert measured.tolist() == pytest.approx([5.0] * N)
