from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MAIN = [sys.executable, "-m", "fsbench"]
Fsbench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def fsbench(tmp_path_factory: pytest.TempPathFactory) -> Fsbench:
    """The command line in a process of its own; all calls share one cache."""
    cache = tmp_path_factory.getbasetemp() / "cache"

    def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        everything = {
            **os.environ,
            "FSBENCH_CACHE": str(cache),
            "FSBENCH_DATA": str(cache.parent / "data"),
            "COLUMNS": "120",
            **environment,
        }
        return subprocess.run(
            [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=everything, timeout=900, check=False
        )

    return call


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, standard output, standard error."""
    from fsbench.cli import main

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fsbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call
