"""A run that uses all cores in one process, beside the same run on one core: cold, but for what a machine compiles once.

    uv run pytest benchmarks/test_speed_cores.py -s

Nothing is trained: people are drawn, faces found, judged and observed, metrics and files computed. Nothing else may run
meanwhile: seconds are of the clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fsbench.environment import available_cores

LEAST = 1.7
"""Times as fast with two cores as with one."""

ON_CORES = """
import os, sys
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: int(sys.argv.pop(1))]))
from fsbench.cli import main
main()
"""
RUN = ("run", "--models", "alpha_paste,copy_source", "--no-baselines", "--dataset", "synthetic(sessions=12,images=10)")


def spent(cores: int, folder: Path) -> float:
    """Seconds of a run on some cores, with an empty cache."""
    command = [sys.executable, "-c", ON_CORES, str(cores), *RUN, "--out", str(folder / "out"), "--quiet"]
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, "FSBENCH_CACHE": str(folder / "cache")}, check=True, timeout=1200)
    return time.perf_counter() - began


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
def test_two_cores_are_used(tmp_path: Path) -> None:
    spent(2, tmp_path / "before")
    seconds = {cores: spent(cores, tmp_path / str(cores)) for cores in (1, 2)}
    print(f"\none core {seconds[1]:.0f} s, two {seconds[2]:.0f} s: {seconds[1] / seconds[2]:.2f} times as fast")
    assert seconds[1] / seconds[2] > LEAST
