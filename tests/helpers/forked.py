"""Commands of fsbench in forked processes, killed when they are about to touch a file for the n-th time.

What a killed process leaves depends on the files that it wrote alone: the n-th change of a file is a moment that is the
same on every machine. All commands share one import of torch. As a program:

    python forked.py PRELUDE    runs that code, and then what each line of standard input asks (JSON); answers in JSON
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.utime")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    killed: bool
    code: int
    changes: int  # of files below its folder, until it ended by itself; 0 where it was killed
    seconds: float  # of the processor
    errors: str


class Forked:
    """A process that forks commands, in a folder, after a prelude."""

    def __init__(self, prelude: str, folder: Path) -> None:
        command = [sys.executable, __file__, prelude]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder, text=True
        )

    def run(self, folder: Path, *words: str | Path, kill_at: int = 0) -> Ended:
        """Run `fsbench WORDS` with its cache in a folder; kill it and its children at the n-th change there, or not."""
        asked = {"words": list(map(str, words)), "folder": str(folder), "kill_at": kill_at}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return Ended(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()


class _Changes:
    """Counts changes of files below a folder, and kills the process group at the n-th."""

    def __init__(self, folder: str, kill_at: int) -> None:
        self.folder, self.kill_at, self.count = folder, kill_at, 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder):
            self.count += 1
            if self.count == self.kill_at:
                os.killpg(0, signal.SIGKILL)


def _child(words: list[str], folder: str, kill_at: int, errors: Path, counted: int) -> None:
    """Run a command in this process, and write how many files it changed."""
    os.setpgid(0, 0)
    with errors.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv, os.environ["FSBENCH_CACHE"] = ["fsbench", *words], str(Path(folder) / "cache")
    changes, code = _Changes(folder, kill_at), 0
    sys.addaudithook(changes)
    from fsbench.cli import main

    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os.write(counted, str(changes.count).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(asked: dict[str, object]) -> Ended:
    errors = Path(str(asked["folder"])) / "errors.txt"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(asked["words"], asked["folder"], asked["kill_at"], errors, writing)  # type: ignore[arg-type]
    os.close(writing)
    _, status, used = os.wait4(child, 0)
    with os.fdopen(reading) as pipe:
        changes = int(pipe.read() or 0)
    seconds = used.ru_utime + used.ru_stime
    return Ended(os.WIFSIGNALED(status), os.waitstatus_to_exitcode(status), changes, seconds, errors.read_text())


def _serve(prelude: str) -> None:
    import fsbench.harness.run
    import fsbench.harness.score
    import fsbench.harness.validate
    import fsbench.report.validity
    from fsbench.harness import illustrations, progress_file
    from fsbench.registry import load_plugins

    load_plugins()
    fsbench.environment.available_cores = lambda: 1
    progress_file.EVERY_SECONDS = math.inf  # else changes of files would depend on the time that work takes
    illustrations.TABLES = {name: make for name, make in illustrations.TABLES.items() if name != "umap.parquet"}
    fsbench.report.write = fsbench.report.validity.write = lambda folder: folder  # slow, and made of the result alone
    exec(prelude, {})
    for line in sys.stdin:
        sys.stdout.write(json.dumps(vars(_answer(json.loads(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
