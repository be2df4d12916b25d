"""Precision falls where outputs leave the targets; resamples are those of all dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import class_name, made_up_rows, paired, value

from fsbench.interfaces import DistributionMetric
from fsbench.metrics._distribution import in_few_dimensions
from fsbench.metrics.coverage import Coverage
from fsbench.metrics.density import Density
from fsbench.metrics.precision import Precision
from fsbench.metrics.recall import Recall


@pytest.mark.parametrize("metric", [Precision(), Density()], ids=class_name)
def test_outputs_that_leave_the_targets_are_less_precise(metric: DistributionMetric) -> None:
    found = [value(metric, made_up_rows(200, 4, shift=s)) for s in (0.0, 0.8, 1.6, 3.2)]
    assert np.all(np.diff(found) < 0)


@pytest.mark.parametrize("metric", [Precision(), Recall(), Density(), Coverage()], ids=class_name)
def test_resamples_are_those_of_all_dimensions(metric: Precision) -> None:
    rows = made_up_rows(24, 300, shift=1000.0).astype(np.float32)
    rows[5] = rows[4]  # the same output of the same target twice
    rows[6, 300:] = rows[7, 300:]
    rows[8, :300] = rows[8, 300:]  # a copy of its target
    features, random = paired(rows), np.random.default_rng(0)
    assert in_few_dimensions(features).output.shape == (24, 24 + len(features.target))
    resampled = metric.statistic(features)
    for index in (np.arange(24), *random.integers(0, 24, (50, 24))):
        assert resampled(index) == metric.of_neighbours(features.take(index))
    many = paired(made_up_rows(24, 40))
    assert in_few_dimensions(many) is many
