"""Where libraries keep their caches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fsbench import environment


@pytest.fixture
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.LIBRARY_CACHES:
        monkeypatch.setenv(name, "")  # so that what the code sets is taken back after the test
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_no_settings")
def test_libraries_keep_their_caches_below_fsbenchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    environment.keep_library_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "cache" / "libraries" / "numba")
    assert os.environ["MPLCONFIGDIR"] == "mine"


@pytest.mark.usefixtures("_no_settings")
@pytest.mark.parametrize("obstacle", ["a file", "a file in between", "/proc/fsbench", "/dev/null/cache"])
def test_without_a_cache_that_can_be_written_another_folder_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    (tmp_path / "file").write_text("")
    place = {"a file": tmp_path / "file", "a file in between": tmp_path / "file" / "deep"}.get(obstacle, Path(obstacle))
    monkeypatch.setenv("FSBENCH_CACHE", str(place))
    environment.keep_library_caches()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    folder.mkdir(parents=True)
    assert place not in folder.parents


def test_numba_caches_where_neither_home_nor_installation_can_be_written(tmp_path: Path) -> None:
    """What umap does at import: functions that want a cache, in a module whose folder is read-only."""
    module = tmp_path / "library" / "compiled.py"
    module.parent.mkdir()
    module.write_text("import numba\n\n@numba.njit(cache=True)\ndef double(x):\n    return 2 * x\n")
    (tmp_path / "library" / "__pycache__").write_text("nothing can be written here")
    script = (
        "from fsbench.environment import keep_library_caches\nkeep_library_caches()\n"
        "from compiled import double\nassert double(2) == 4\n"
    )
    place = {**os.environ, "PYTHONPATH": str(module.parent), "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    place = {name: value for name, value in place.items() if name not in environment.LIBRARY_CACHES}
    for cache in (str(tmp_path / "cache"), "/proc/nowhere"):
        found = subprocess.run(
            [sys.executable, "-c", script], env={**place, "FSBENCH_CACHE": cache}, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
    without = "from compiled import double\n"
    found = subprocess.run([sys.executable, "-c", without], env=place, capture_output=True, text=True)
    assert "no locator available" in found.stderr, "else this test proves nothing"
