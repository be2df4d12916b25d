"""Recall falls where outputs are alike."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import class_name, made_up_rows, value

from fsbench.interfaces import DistributionMetric
from fsbench.metrics.coverage import Coverage
from fsbench.metrics.recall import Recall


@pytest.mark.parametrize("metric", [Recall(), Coverage()], ids=class_name)
def test_outputs_that_are_alike_hold_fewer_targets(metric: DistributionMetric) -> None:
    rows, found = made_up_rows(200, 4), []
    for s in (1.0, 0.5, 0.2, 0.05):
        found.append(value(metric, np.concatenate([s * rows[:, :4], rows[:, 4:]], 1)))
    assert np.all(np.diff(found) < 0)
