"""Gaussian kernel distance: the bandwidths."""

from __future__ import annotations

import numpy as np
import pytest
from metric_features import value

from fsbench.errors import BadParameter
from fsbench.metrics.mmd import Mmd


def test_the_published_bandwidth_sees_the_means_only() -> None:
    """On unit vectors MMD^2 under sigma = 10 is |difference of the means|^2 / sigma^2; under 1 it sees the spread."""
    random = np.random.default_rng(0)
    narrow, wide = np.full((400, 2, 8), [1.0, *[0.0] * 7]), np.full((400, 2, 8), [1.0, *[0.0] * 7])
    narrow[:, 0, 1:] = 0.2 * random.normal(size=(400, 7))
    wide[:, 0, 1] = random.choice([-1, 1], 400)
    for each in (narrow, wide):
        each[:, 1, 1:] = 0.2 * random.normal(size=(400, 7))
        each /= np.linalg.norm(each, axis=2, keepdims=True)
        rows = each.reshape(400, 16)
        apart = np.linalg.norm(each[:, 0].mean(0) - each[:, 1].mean(0)) ** 2
        assert value(Mmd(sigma=10.0), rows) == pytest.approx(1000 * apart / 100, rel=0.05, abs=0.02)
    opposite = np.concatenate([np.tile([[1.0, 0], [-1, 0]], (50, 1)), np.tile([[0, 1.0], [0, -1]], (50, 1))], 1)
    opposite[:, 2:] += 1e-3 * random.normal(size=(100, 2))  # no two targets alike
    assert abs(value(Mmd(sigma=10.0), opposite)) < 0.5
    assert value(Mmd(), opposite) > 100


def test_a_bandwidth_that_is_none_is_refused() -> None:
    with pytest.raises(BadParameter, match="positive number"):
        Mmd(sigma=0)
