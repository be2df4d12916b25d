"""Precision falls where outputs leave the targets."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import class_name, made_up_rows, value

from fsbench.interfaces import DistributionMetric
from fsbench.metrics.density import Density
from fsbench.metrics.precision import Precision


@pytest.mark.parametrize("metric", [Precision(), Density()], ids=class_name)
def test_outputs_that_leave_the_targets_are_less_precise(metric: DistributionMetric) -> None:
    found = [value(metric, made_up_rows(200, 4, shift=s)) for s in (0.0, 0.8, 1.6, 3.2)]
    assert np.all(np.diff(found) < 0)
