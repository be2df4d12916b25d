"""Which of several processes that share a store computes what it lacks.

All of them walk the same steps. At each, a process computes the items that nobody has claimed, and finds the others in
the store. Results do not depend on claims: an item that two processes compute is the same, byte for byte, and the one
of a process that has died is computed by another.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fsbench.errors import RemoteError
from fsbench.remote import Objects

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


class ClaimFiles(Protocol):
    """Where claims lie that all processes see."""

    def create(self, name: str, owner: str) -> bool:
        """Write a claim if there is none of this name; whether this call did. Raises OSError where it cannot."""
        ...

    def look(self, name: str) -> tuple[str, object] | None:
        """The owner of a claim, and what changes whenever it is renewed; None where there is none."""
        ...

    def renew(self, name: str, owner: str) -> None:
        """Let a claim look renewed."""
        ...

    def remove(self, name: str) -> None:
        """Remove a claim; there may be none. Raises OSError where it cannot."""
        ...


class ClaimFolder:
    """Claims as files in a folder; it needs no locks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, name: str, owner: str) -> bool:
        """As in `ClaimFiles`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with (self._folder / name).open("x", encoding="utf-8") as file:
                file.write(owner)
        except FileExistsError:
            return False
        return True

    def look(self, name: str) -> tuple[str, object] | None:
        """As in `ClaimFiles`; what is no claim is none."""
        path = self._folder / name
        with suppress(OSError, ValueError):
            return path.read_text(encoding="utf-8"), path.stat().st_mtime_ns
        return None

    def renew(self, name: str, owner: str) -> None:
        """As in `ClaimFiles`."""
        os.utime(self._folder / name)

    def remove(self, name: str) -> None:
        """As in `ClaimFiles`."""
        (self._folder / name).unlink(missing_ok=True)


class ClaimObjects:
    """Claims as objects of a store at a URL."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def create(self, name: str, owner: str) -> bool:
        """As in `ClaimFiles`."""
        return self._objects.put_new(f"{FOLDER}/{name}", self._content(owner))

    def look(self, name: str) -> tuple[str, object] | None:
        """As in `ClaimFiles`."""
        content = self._objects.read(f"{FOLDER}/{name}")
        return None if content is None else (content.partition(b"\n")[0].decode(errors="replace"), content)

    def renew(self, name: str, owner: str) -> None:
        """As in `ClaimFiles`."""
        self._objects.write(f"{FOLDER}/{name}", self._content(owner))

    def remove(self, name: str) -> None:
        """As in `ClaimFiles`."""
        self._objects.remove(f"{FOLDER}/{name}")

    def _content(self, owner: str) -> bytes:
        return f"{owner}\n{secrets.token_hex(8)}".encode()


class SharedClaims:
    """Claims that all processes of a store see: below its `url` where it has one, else in its `folder`.

    `member` names this process among those that share the work: one that is started again under the same name takes its
    own claims up again. It begins with the items of its `place` among `size` processes. One with `patience` leaves
    several items to the others until nothing is finished for that many seconds.
    """

    shared = True

    def __init__(
        self, folder: Path, member: str, place: int = 0, size: int = 1, patience: float = 0.0, url: str | None = None
    ) -> None:
        self.folder, self.member, self.place, self.size, self.patience = folder, member, place, size, patience
        self.url = url
        self._files: ClaimFiles = ClaimObjects(Objects(url)) if url else ClaimFolder(folder / FOLDER)
        self._gone: set[str] = set()
        self._held: set[str] = set()
        self._seen: dict[str, tuple[object, float]] = {}  # claims of others: how each looks, and since when
        self._beats: threading.Thread | None = None
        self._lock = threading.Lock()

    def of_member(self, place: int) -> SharedClaims:
        """Claims of another process, which takes another place."""
        return SharedClaims(self.folder, f"{self.member}.{place}", self.place + place, self.size, url=self.url)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` makes the same claims of, in another process."""
        names = ("member", "place", "size", "patience", "url")
        return {"folder": str(self.folder), **{name: getattr(self, name) for name in names}}

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
                elif not patient and self._take(claim := _file_name(name(item))):
                    try:
                        if not is_there(item):  # another may have finished it between the two questions
                            compute(item)
                    finally:
                        self._release(claim)
                    yield item
                else:
                    left.append(item)
            if len(left) < len(todo):
                pause, since = PAUSES[0], time.monotonic()
            elif left:
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
            todo = left

    def _take(self, claim: str) -> bool:
        """Claim an item; also where there can be no claims, so that work goes on."""
        try:
            if not self._files.create(claim, self.member):
                if not self._is_free(claim):
                    return False
                self._files.remove(claim)
                return self._take(claim)
        except OSError:
            return True
        with self._lock:
            self._held.add(claim)
            if self._beats is None:
                self._beats = threading.Thread(target=self._renew, daemon=True)
                self._beats.start()
        return True

    def _is_free(self, claim: str) -> bool:
        """Whether a claim is this process's own, of an earlier attempt, or of one that does not renew it any more."""
        if (found := self._files.look(claim)) is None:
            return True
        (owner, look), now = found, time.monotonic()
        before, since = self._seen.get(claim, (None, now))
        self._seen[claim] = look, since if before == look else now  # clocks of machines are not compared
        if owner in self._gone or (owner == self.member and claim not in self._held):
            return True
        return now - self._seen[claim][1] > LEASE

    def _release(self, claim: str) -> None:
        with self._lock:
            self._held.discard(claim)
        with suppress(OSError, RemoteError):
            self._files.remove(claim)

    def _renew(self) -> None:
        while True:
            time.sleep(BEAT)
            with self._lock:
                for claim in self._held:  # none is released meanwhile, and written again
                    with suppress(OSError, RemoteError):
                        self._files.renew(claim, self.member)


def _file_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:20] + SUFFIX
