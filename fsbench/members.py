"""Processes on this machine that share work with this one, by claims on a store that all of them see.

They are plain Python processes that read what to do from their input: they neither import the main program again nor
fork its threads, and they end when this process does.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from fsbench.claims import SharedClaims
from fsbench.errors import FsbenchError

FAREWELL = 2.0
"""Seconds that a process has to end by itself when everything is done."""


@contextmanager
def local_members(
    target: str,
    requests: Sequence[Mapping[str, Any]],
    claims: SharedClaims,
    tell: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Let a process a request call `target` (`module:function`) for the length of a `with` block.

    The function is given the request and claims of its own. What a process that has ended claimed is free for the
    others; of one that failed the reason is told.
    """
    members = [claims.of_member(place + 1) for place in range(len(requests))]
    orders = [
        json.dumps({"target": target, "request": dict(request), "claims": member.as_json()})
        for request, member in zip(requests, members, strict=True)
    ]
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
        )
        for _ in orders
    ]
    closing = threading.Event()

    def watch(process: subprocess.Popen[str], order: str, member: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # it has ended already
            process.stdin.write(order + "\n")
            process.stdin.flush()
        last = ""
        for line in process.stdout:
            last = line.strip() or last
        if process.wait() and not closing.is_set():
            tell(f"{member} ended with code {process.returncode} ({last or 'nothing was said'}): others do its work")
        claims.gone([member])

    watches = [
        threading.Thread(target=watch, args=(process, order, member.member), daemon=True)
        for process, order, member in zip(processes, orders, members, strict=True)
    ]
    for thread in watches:
        thread.start()
    try:
        yield
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(FAREWELL)
    finally:
        closing.set()
        for process in processes:
            process.kill()
        for thread in watches:
            thread.join()
        for process in processes:
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


def main() -> None:
    """Do what stands on one line of standard input; the process ends when that is closed."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, function = order["target"].partition(":")
    try:
        getattr(importlib.import_module(module), function)(order["request"], SharedClaims.from_json(order["claims"]))
    except FsbenchError as error:
        sys.stdout.write(error.sentence + "\n")
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)
