"""What comparing all pairs of real images costs.

uv run pytest benchmarks/test_speed_calibrate.py --benchmark-enable
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fsbench.stats.calibration import calibrate

PEOPLE, SESSIONS, DIM = 100, 10, 512


@pytest.mark.benchmark(group="all pairs of images, 512 numbers each")
@pytest.mark.parametrize("images", [1_000, 10_000])
def test_seconds(images: int, benchmark: BenchmarkFixture) -> None:
    vectors = np.random.default_rng(0).normal(size=(images, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = np.arange(images)
    found = benchmark.pedantic(
        calibrate, (vectors, index % PEOPLE, index // PEOPLE % SESSIONS), rounds=3, warmup_rounds=1
    )
    assert found is not None
    assert found.n_images == images
