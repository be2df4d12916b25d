"""The whole test suite is divided among processes; parts of it, and benchmarks, run in one."""

from __future__ import annotations

import pytest

from fsbench.environment import available_cores

MOST_WORKERS = 4
"""Each takes about 2 GB of memory, and the longest file bounds what more could save."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each core where no folder or file of tests is named; 0: no other process."""
    n_workers = min(available_cores(), MOST_WORKERS)
    return n_workers if n_workers > 1 and config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0
