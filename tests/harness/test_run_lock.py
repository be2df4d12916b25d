"""Two runs do not write into one --out, and a killed one leaves nothing behind that keeps the next one out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsbench.config import Plan
from fsbench.errors import OutputError
from fsbench.harness import run_lock
from fsbench.harness.run import run
from fsbench.harness.run_folder import RunFolder
from fsbench.harness.run_lock import LOCK_FILE, RunLock
from fsbench.interfaces import Context

HOLDER = """
import sys
from pathlib import Path
from fsbench.harness.run_lock import RunLock
lock = RunLock.take(Path(sys.argv[1]), print)
print("locked", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes into a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def take(folder: Path) -> RunLock | None:
    return RunLock.take(folder, pytest.fail)


def test_a_second_run_is_refused_before_any_work(
    tmp_path: Path, holder: subprocess.Popen[str], context: Context
) -> None:
    folder = RunFolder(tmp_path / "out")
    plan = Plan(models=("copy_target",), dataset="folder:nowhere", metrics=("background",))
    with pytest.raises(OutputError, match=f"is being written by another run .*{holder.pid}") as caught:
        run(plan, folder.path, context)
    assert caught.value.hint
    with pytest.raises(OutputError, match="is being written by another run"):
        folder.check(plan, resume=True)
    with pytest.raises(OutputError, match="is being written by another run"):
        folder.begin(plan, None, pytest.fail)
    assert [path.name for path in folder.path.iterdir()] == [LOCK_FILE], "what the other run writes is left alone"


def test_a_killed_run_keeps_nobody_out(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    RunFolder(tmp_path / "out").check(Plan(), resume=False)
    lock = take(tmp_path / "out")
    assert lock is not None
    lock.release()
    assert not list((tmp_path / "out").iterdir())


def test_a_finished_run_keeps_nobody_out(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "released\n"
    assert take(tmp_path / "out") is not None


def test_a_run_that_failed_in_this_process_keeps_nobody_out(tmp_path: Path) -> None:
    lock = take(tmp_path)
    assert lock is not None
    assert take(tmp_path) is None
    RunFolder(tmp_path).check(Plan(), resume=False)
    lock.release()
    again = take(tmp_path)
    assert again is not None
    again.release()


def test_a_lock_that_was_released_while_it_was_opened_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take(tmp_path)
    assert first is not None
    lock = run_lock._lock

    def released_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(run_lock, "_lock", lock)
        first.release()
        lock(descriptor)

    monkeypatch.setattr(run_lock, "_lock", released_meanwhile)
    second = take(tmp_path)
    assert second is not None
    assert (tmp_path / LOCK_FILE).read_text() == f"process {os.getpid()} on {os.uname().nodename}"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EBADF])
def test_where_there_are_no_locks_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(descriptor: int, shared: bool = False) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(run_lock, "_lock", refuse)
    told: list[str] = []
    assert RunLock.take(tmp_path / "out", told.append) is None
    assert len(told) == 1
    assert "cannot be locked" in told[0]
    RunFolder(tmp_path / "out").check(Plan(), resume=False)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_odd_things_in_the_place_of_the_lock(tmp_path: Path, make: object) -> None:
    make(tmp_path / LOCK_FILE)  # type: ignore[operator]
    told: list[str] = []
    RunLock.take(tmp_path, told.append)
    assert len(told) <= 1
    run_lock.refuse_if_taken(tmp_path)
