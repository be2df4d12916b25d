"""Inception score (`is`): closed form, torch-fidelity, and what its interval covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_features import interval_coverage, value

from fsbench.interfaces import PairedFeatures
from fsbench.metrics.inception_score import InceptionScore


def logits(shares: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(shares, 1e-30)) + np.arange(len(shares))[:, None]  # a constant per image changes nothing


def test_inception_score_of_what_is_known() -> None:
    def score(rows: np.ndarray) -> float:
        return value(InceptionScore(), PairedFeatures.of(rows, rows))

    assert score(logits(np.full((10, 7), 1 / 7))) == pytest.approx(1)
    assert score(logits(np.tile(np.eye(7), (3, 1)))) == pytest.approx(7)
    assert score(logits(np.eye(1008))) == pytest.approx(1008)
    assert score(logits(np.eye(7)[[2] * 5])) == pytest.approx(1)  # identical images
    half = np.array([[0.8, 0.2], [0.4, 0.6]])
    divergence = (half * np.log(half / [[0.6, 0.4]])).sum(1).mean()
    assert score(logits(half)) == pytest.approx(np.exp(divergence))


def test_inception_score_is_torch_fidelitys_in_one_split() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    rows = 3 * np.random.default_rng(0).normal(size=(50, 20))
    found = theirs.isc_features_to_metric(torch.from_numpy(rows), splits=1)
    assert value(InceptionScore(), PairedFeatures.of(rows, rows)) == pytest.approx(
        found["inception_score_mean"], rel=1e-9
    )


def test_the_interval_of_inception_score_covers_its_spread() -> None:
    def world(seed: int) -> tuple[PairedFeatures, np.ndarray]:
        rows = 2 * np.random.default_rng(seed).normal(size=(100, 5))
        return PairedFeatures.of(rows, rows), np.arange(100)

    assert 0.90 <= interval_coverage(InceptionScore(), world) <= 0.995
