"""Speed of what needs no network: the start of a command, and the page of a run.

uv run pytest benchmarks/test_speed_pages.py --benchmark-enable
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_runs import write_run

from fsbench import report


@pytest.mark.parametrize("typed", ["--version", "run --help", "list metrics"])
def test_start_of_a_command(benchmark: Any, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    command = [sys.executable, "-m", "fsbench", *typed.split()]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("sessions", [3, 30])
def test_report(benchmark: Any, sessions: int, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", sessions=sessions)
    assert benchmark.pedantic(report.write, (folder,), rounds=3, warmup_rounds=1).stat().st_size > 10_000
