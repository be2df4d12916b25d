"""The local copy of a store at a URL: what is missing here is fetched, and what is written here is sent.

The files never change under their names, so that there is nothing to compare. What could not be sent, or was not when
the process was killed, stands in a list, and is sent when the store is opened the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from fsbench.errors import OutputError, RemoteError
from fsbench.remote import Objects

UNSENT = "unsent"
"""Folder of the local copy that lists what is to be sent: a file for each, which holds its path."""

AT_ONCE = 8
"""Objects that are fetched or sent side by side."""

AGAIN = 2.0
"""Seconds after which what was not there is asked for again: another process may be computing it."""

CHECKPOINTS = 300.0
"""Seconds between two checkpoints of a training that are sent."""


class Reported(Protocol):
    """Told how far a long piece of work is."""

    def __call__(self, done: float, total: float, figures: Mapping[str, float] = ...) -> None: ...


class Mirror:
    """Files below a folder that lie at a URL, too. Without `objects`, and of files elsewhere, nothing is done.

    What reaches for the URL raises RemoteError, as `Objects` does.
    """

    def __init__(self, root: Path, objects: Objects | None = None) -> None:
        self.root, self.objects = root, objects
        self._asked: dict[str, float] = {}  # when, by name

    def fetch(self, path: Path) -> None:
        """Fetch a file that is not here, if it is there. Where it cannot be written here, it is done without."""
        if self.objects is None or os.path.lexists(path) or not (name := self._name(path)) or not self._may_ask(name):
            return
        self._get(self.objects, name)

    def _may_ask(self, name: str) -> bool:
        """Whether a name was not asked for a moment ago."""
        now = time.monotonic()
        if now - self._asked.get(name, -AGAIN) < AGAIN:
            return False
        self._asked[name] = now
        return True

    def _get(self, objects: Objects, name: str) -> bool:
        try:
            return objects.get(name, self.root / name)
        except RemoteError:
            raise
        except OutputError:  # of the disk; the store tells of it when it writes there
            return True

    def fetch_all(self, folder: Path) -> bool:
        """Fetch all files that lie in a folder there, and not here; returns whether it did."""
        if self.objects is None or not (below := self._name(folder)) or not self._may_ask(below):
            return False
        missing: list[str] = []
        for _ in range(3):  # others may put several into one, and remove them, after they were listed
            missing = [name for name in self.objects.listed(below) if not os.path.lexists(self.root / name)]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                if all(pool.map(partial(self._get, self.objects), missing)):
                    break
        return bool(missing)

    def send(self, path: Path) -> None:
        """Send a file that was written."""
        if self.objects is None or not (name := self._name(path)):
            return
        entry = self.root / UNSENT / sha256(name.encode()).hexdigest()[:20]
        with suppress(OSError):  # then it is not sent later
            entry.parent.mkdir(exist_ok=True)
            entry.write_text(name, encoding="utf-8")
        self.objects.put(path, name)
        entry.unlink(missing_ok=True)

    def send_rest(self) -> None:
        """Send what an earlier process could not."""
        if self.objects is None:
            return
        with suppress(FileNotFoundError):  # there is no list, or another process is sending it, too
            for entry in sorted((self.root / UNSENT).iterdir()):
                name = entry.read_text(encoding="utf-8")
                self.objects.put(self.root / name, name)
                entry.unlink(missing_ok=True)

    def drop(self, path: Path) -> None:
        """Remove a file there that was removed here; one that cannot be does no harm."""
        if self.objects is not None and (name := self._name(path)):
            with suppress(RemoteError):
                self.objects.remove(name)

    def checkpointed(self, path: Path, progress: Reported) -> Reported:
        """The progress of a training that writes checkpoints to a file, which is sent now and then."""
        if self.objects is None:
            return progress
        sent = time.monotonic()

        def report(done: float, total: float, figures: Mapping[str, float] = {}) -> None:
            nonlocal sent
            progress(done, total, figures)
            if time.monotonic() - sent > CHECKPOINTS and path.is_file():
                self.send(path)
                sent = time.monotonic()

        return report

    def _name(self, path: Path) -> str:
        """The name of a file below the folder; "" for one elsewhere."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else ""
