"""Memory and time of the metrics of distributions, on made-up features that lie in a file.

    uv run pytest benchmarks/test_memory_distributions.py -s

Each size runs in a process of its own. What is told is the memory that it allocates, whatever pages of the file are in
memory: the part that grows with the outputs must be far below their features in float64.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DIM = 512
SIZES = (20_000, 80_000)
MOST = 200  # bytes an output by which memory grows: indices, what a resample needs; a row of float64 has 4 KB
METRICS = {"Fid": "fid", "InceptionScore": "inception_score"}  # those of all outputs; others take a subset of many

MEASURE = """
import importlib, json, resource, sys, time, tracemalloc
import numpy as np
from fsbench.harness.measurements import statistic
from fsbench.interfaces import PairedFeatures

module, name, n, dim, path = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
output = np.memmap(path, np.float32, "r", shape=(n, dim))
target = np.memmap(path, np.float32, "r", offset=4 * n * dim, shape=(n, dim))
metric = getattr(importlib.import_module(f"fsbench.metrics.{module}"), name)()
features = PairedFeatures(output, target, np.arange(n), np.ones(n, bool))
tracemalloc.start()
started = time.perf_counter()
of = statistic(metric, features, features.scored)
value = of(np.arange(n))
seconds = time.perf_counter() - started
random = np.random.default_rng(0)
resamples = [of(random.integers(0, n, n)) for _ in range(20)]
assert np.isfinite([value, *resamples]).all()
peak = tracemalloc.get_traced_memory()[1]
print(json.dumps({"value": value, "seconds": seconds, "all": time.perf_counter() - started, "peak": peak}))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of outputs and of targets, twice the largest size."""
    import numpy as np

    path = tmp_path_factory.mktemp("features") / "features.f32"
    random = np.random.default_rng(0)
    with path.open("wb") as stream:
        for _ in range(2 * SIZES[-1] // 1000):
            stream.write(np.abs(random.standard_normal((1000, DIM), np.float32)).tobytes())
    return path


@pytest.mark.parametrize("metric", METRICS)
def test_memory_does_not_hold_the_features(metric: str, file: Path) -> None:
    found = []
    for n in SIZES:
        command = [sys.executable, "-c", MEASURE, METRICS[metric], metric, str(n), str(DIM), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
        figures = found[-1]
        print(
            f"\n{metric}, {n:,} outputs of {DIM} dimensions: {figures['seconds']:.1f} s for the value, "
            f"{figures['all']:.1f} s with 20 resamples, {figures['peak'] / 2**20:.0f} MiB"
        )
    growth = (found[1]["peak"] - found[0]["peak"]) / (SIZES[1] - SIZES[0])
    print(f"memory grows by {growth:.0f} bytes an output; features in float64 would take {8 * DIM * 2}")
    assert growth < MOST
