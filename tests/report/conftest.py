"""Small run directories made by code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from report_runs import write_run

from fsbench import report

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run directory: make_run(models=..., identities=..., judges=..., sessions=..., unscored=..., ...)."""
    return lambda **changes: write_run(tmp_path / "run", **changes)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default run, to be read only."""
    return write_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def page(run_folder: Path) -> str:
    """The default run's page."""
    return report.write(run_folder).read_text(encoding="utf-8")
