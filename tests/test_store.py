from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fsbench.atomic import atomic_path
from fsbench.errors import OutputError
from fsbench.store import Store, fingerprint, write_text


def test_a_recipe_is_computed_once(tmp_path: Path) -> None:
    store, calls = Store(tmp_path), []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(6).reshape(2, 3)[:, ::-1]}

    for _ in range(2):
        assert store.arrays("kind", {"a": 1}, compute)["x"].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert len(calls) == 1
    store.arrays("kind", {"a": 2}, compute)
    assert len(calls) == 2


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.arrays("kind", 1, lambda: {"x": np.ones(100)})
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:50])
    assert store.arrays("kind", 1, lambda: {"x": np.zeros(3)})["x"].tolist() == [0, 0, 0]


def test_fingerprints_tell_recipes_apart_and_not_key_order() -> None:
    assert fingerprint({"a": 1, "b": [2.5, "x"]}) == fingerprint({"b": [2.5, "x"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    with pytest.raises(ValueError, match="JSON"):
        fingerprint(float("nan"))


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_or_closed_disk_is_one_sentence(tmp_path: Path, number: int) -> None:
    with pytest.raises(OutputError) as caught, atomic_path(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_arrays_are_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device that is always full")
    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: real(Path("/dev/full"), data))
    with pytest.raises(OutputError, match="no space"):
        Store(tmp_path).save("kind", "key", {"x": np.ones(10)})
    assert not list(tmp_path.rglob("*key*"))


KILLED = """
import sys, numpy as np
from pathlib import Path
from fsbench.store import Store
store = Store(Path(sys.argv[1]))
for i in range(10**6):
    store.save("kind", str(i % 7), {"x": np.full(200_000, i)})
    if i == 0:
        print("saved", flush=True)
"""


def test_a_killed_process_leaves_only_whole_files(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store, found = Store(tmp_path), 0
    for key in range(7):
        arrays = store.load("kind", str(key))
        if arrays is not None:
            found += 1
            assert len(np.unique(arrays["x"])) == 1
    assert found > 0
