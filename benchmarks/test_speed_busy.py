"""A machine whose cores are busy must not make fsbench collapse: idle OpenMP threads sleep instead of spinning.

uv run pytest benchmarks/test_speed_busy.py --benchmark-enable -s
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fsbench.environment import available_cores

WORK = """
import sys, time
from fsbench.environment import make_context, quiet_openmp
if sys.argv[1] == "fsbench":
    quiet_openmp()
context = make_context("cpu")
import torch
from torch import nn
torch.manual_seed(0)
widths = ((3, 32), (32, 64), (64, 128), (128, 256))
net = nn.Sequential(*(nn.Sequential(nn.Conv2d(c, d, 3, 2, 1), nn.ReLU()) for c, d in widths))
adam = torch.optim.Adam(net.parameters())
x = torch.rand(8, 3, 64, 64)
def step():
    adam.zero_grad(); net(x).square().mean().backward(); adam.step()
for _ in range(5): step()
start = time.perf_counter()
for _ in range(100): step()
print((time.perf_counter() - start) / 100)
"""


def seconds_per_step(settings: str) -> float:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    return float(
        subprocess.run(
            [sys.executable, "-c", WORK, settings],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout
    )


@contextmanager
def one_busy_core() -> Iterator[None]:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        hog.kill()
        hog.wait()


@pytest.mark.benchmark(group="busy")
def test_one_busy_core_costs_less_than_three_times(benchmark: object) -> None:
    if available_cores() < 2:
        pytest.skip("needs two cores")
    quiet = min(seconds_per_step("fsbench") for _ in range(2))
    with one_busy_core():
        busy = benchmark.pedantic(seconds_per_step, args=("fsbench",), rounds=2)  # type: ignore[attr-defined]
        spinning = seconds_per_step("torch's defaults")
    print(
        f"\n{quiet * 1e3:.1f} ms a step alone, {busy * 1e3:.1f} ms beside one busy core ({busy / quiet:.2f}x), "
        f"{spinning * 1e3:.1f} ms with torch's defaults ({spinning / quiet:.2f}x)"
    )
    assert busy < 3 * quiet
