from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

Fsbench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def fsbench(session_folder: Path) -> Fsbench:
    """The command line in this process, for fixtures of modules too; all calls share one cache."""
    from fsbench.cli import main

    def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        words, out, err = ["fsbench", *map(str, arguments)], io.StringIO(), io.StringIO()
        folders = {"FSBENCH_CACHE": str(session_folder / "cache"), "FSBENCH_DATA": str(session_folder / "data")}
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            for name, value in (folders | {"COLUMNS": "120"} | environment).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main()
        return subprocess.CompletedProcess(words, int(left.value.code or 0), out.getvalue(), err.getvalue())

    return call
