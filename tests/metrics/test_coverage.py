"""Coverage, and density, of a distribution by itself."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import value

from fsbench.metrics.coverage import Coverage
from fsbench.metrics.density import Density


def test_independent_samples_of_one_distribution_have_the_expected_density_and_coverage() -> None:
    """Naeem et al., section 3.3: density 1, coverage 1 - 1 / 2^k for as many outputs as targets."""
    rows = np.random.default_rng(0).normal(size=(1000, 8))
    assert value(Density(), rows) == pytest.approx(1, abs=0.1)
    assert value(Coverage(), rows) == pytest.approx(1 - 0.5**5, abs=0.02)
