"""Kernel distances: no bias."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import class_name, made_up_rows, value

from fsbench.interfaces import DistributionMetric
from fsbench.metrics.kid import Kid, KidClean, KidFace
from fsbench.metrics.mmd import Mmd

KERNEL = [Kid(), KidClean(), KidFace(), Mmd(), Mmd(sigma=10.0)]


@pytest.mark.parametrize("metric", KERNEL, ids=class_name)
def test_kernel_distances_of_one_distribution_are_0_on_average(metric: DistributionMetric) -> None:
    found = [value(metric, made_up_rows(20, seed=seed)) for seed in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("metric", KERNEL, ids=class_name)
def test_targets_that_serve_several_sources_add_no_bias(metric: DistributionMetric) -> None:
    """20 targets, three outputs each, of one distribution: the mean over draws is 0; with all pairs it is above."""
    found = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        target = np.repeat(random.normal(size=(20, 6)), 3, 0)
        output = np.sqrt(0.7) * target + np.sqrt(0.3) * random.normal(size=(60, 6))
        found.append(value(metric, np.concatenate([output, target], 1)))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
