"""Density by hand."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import value

from fsbench.metrics.density import Density


def test_density_of_outputs_at_one_place_counts_the_balls_there() -> None:
    """Targets 0, 1, ... 20: the fifth nearest other is 3 away, so that the balls of 8 to 13 hold 10.2."""
    targets = np.arange(21.0)
    rows = np.stack([np.full(21, 10.2), targets], 1)
    assert value(Density(), rows) == pytest.approx(6 / 5)
