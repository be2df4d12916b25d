"""Which of several processes that share a store computes what it lacks.

All of them walk the same steps. At each, a process computes the items that nobody has claimed, and finds the others in
the store. Results do not depend on claims: an item that two processes compute is the same, byte for byte, and the one
of a process that has died is computed by another.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")

FOLDER = "claims"
"""Folder of the cache in which claims lie."""

SUFFIX = ".claim"

LEASE = 60.0
"""Seconds after which a claim that its process did not renew is nobody's."""

BEAT = 5.0
"""Seconds after which a process renews its claims."""

PAUSES = (0.01, 0.5)
"""Seconds between two looks at what other processes compute: at first, and after a while."""


class Claims(Protocol):
    """Says which items this process computes."""

    shared: bool  # whether there are other processes

    def share(
        self,
        items: Sequence[Item],
        name: Callable[[Item], str],
        is_there: Callable[[Item], bool],
        compute: Callable[[Item], object],
    ) -> Iterator[Item]:
        """Give each item when it is there: in any order, computed here or by another process.

        `name` is the same for an item in all processes. `compute` is called for those that this process claims; what
        it raises passes, and the item is then free for others.
        """
        ...


class Alone:
    """Claims of a process that shares its work with nobody: it computes everything, and looks for nothing."""

    shared = False

    def share(
        self,
        items: Sequence[Item],
        name: Callable[[Item], str],
        is_there: Callable[[Item], bool],
        compute: Callable[[Item], object],
    ) -> Iterator[Item]:
        """Compute the items one after the other."""
        for item in items:
            compute(item)
            yield item


class SharedClaims:
    """Claims as files in a folder that all processes see; the folder needs no locks.

    `member` names this process among those that share the work: one that is started again under the same name takes its
    own claims up again. It begins with the items of its `place` among `size` processes. One with `patience` leaves
    several items to the others until nothing is finished for that many seconds.
    """

    shared = True

    def __init__(self, folder: Path, member: str, place: int = 0, size: int = 1, patience: float = 0.0) -> None:
        self.folder, self.member, self.place, self.size, self.patience = folder, member, place, size, patience
        self._gone: set[str] = set()
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[int, float]] = {}  # claims of others: when each was renewed, and seen so first
        self._beats: threading.Thread | None = None
        self._lock = threading.Lock()

    def of_member(self, place: int) -> SharedClaims:
        """Claims of another process, which takes another place."""
        return SharedClaims(self.folder, f"{self.member}.{place}", self.place + place, self.size)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` makes the same claims of, in another process."""
        return {
            "folder": str(self.folder),
            "member": self.member,
            "place": self.place,
            "size": self.size,
            "patience": self.patience,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SharedClaims:
        """Claims as `as_json` wrote them."""
        return cls(Path(fields["folder"]), **{name: value for name, value in fields.items() if name != "folder"})

    def gone(self, members: Iterable[str]) -> None:
        """Take note that processes have ended: what they claimed and did not finish is free."""
        self._gone |= set(members)

    def share(
        self,
        items: Sequence[Item],
        name: Callable[[Item], str],
        is_there: Callable[[Item], bool],
        compute: Callable[[Item], object],
    ) -> Iterator[Item]:
        """As in `Claims`; items that others compute are waited for."""
        first = self.place * len(items) // self.size
        todo, pause, since = [*items[first:], *items[:first]], PAUSES[0], time.monotonic()
        while todo:
            left: list[Item] = []
            patient = len(items) > 1 and time.monotonic() - since < self.patience
            for item in todo:
                if is_there(item):
                    yield item
                elif not patient and self._take(path := self._path(name(item))):
                    try:
                        if not is_there(item):  # another may have finished it between the two questions
                            compute(item)
                    finally:
                        self._release(path)
                    yield item
                else:
                    left.append(item)
            if len(left) < len(todo):
                pause, since = PAUSES[0], time.monotonic()
            elif left:
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
            todo = left

    def _path(self, name: str) -> Path:
        return self.folder / (hashlib.sha256(name.encode()).hexdigest()[:20] + SUFFIX)

    def _take(self, path: Path) -> bool:
        """Claim an item; also where there can be no claims, so that work goes on."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(self.member)
        except FileExistsError:
            if not self._is_free(path):
                return False
            try:
                path.unlink(missing_ok=True)
            except OSError:
                return True
            return self._take(path)
        except OSError:
            return True
        self._hold(path)
        return True

    def _is_free(self, path: Path) -> bool:
        """Whether a claim is this process's own, of an earlier attempt, or of one that does not renew it any more."""
        try:
            owner, renewed = path.read_text(encoding="utf-8"), path.stat().st_mtime_ns
        except (OSError, ValueError):
            return True  # it is gone, or no claim
        now = time.monotonic()
        before, since = self._seen.get(path, (None, now))
        self._seen[path] = (renewed, since if before == renewed else now)  # clocks of machines are not compared
        if owner in self._gone or (owner == self.member and path not in self._held):
            return True
        return now - self._seen[path][1] > LEASE

    def _hold(self, path: Path) -> None:
        with self._lock:
            self._held.add(path)
            if self._beats is None:
                self._beats = threading.Thread(target=self._renew, daemon=True)
                self._beats.start()

    def _release(self, path: Path) -> None:
        with self._lock:
            self._held.discard(path)
        with suppress(OSError):
            path.unlink()

    def _renew(self) -> None:
        while True:
            time.sleep(BEAT)
            with self._lock:
                held = list(self._held)
            for path in held:
                with suppress(OSError):
                    os.utime(path)
