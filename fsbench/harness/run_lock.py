"""A lock on one `--out` directory: two processes that write into it would mix two runs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fsbench.errors import OutputError, one_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
"""Says which process writes; it is there while a run is going on, and after one was killed."""

WAITS = (0.001, 0.01, 0.05)
"""Seconds after which a lock that is taken is asked for again."""


@dataclass(frozen=True)
class RunLock:
    """An open lock file; the system gives the lock back when the process ends, however it ends."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, folder: Path, tell: Callable[[str], None]) -> RunLock | None:
        """Lock a folder until `release`, or until the process ends. Raises OutputError where another process has it.

        None where this process has it already, and where there are no locks, which is told.
        """
        path = folder / LOCK_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while (lock := cls._opened(path)) is None:
                pass
            return lock
        except BlockingIOError:
            refuse_if_taken(folder)
        except OSError as error:
            tell(f"{folder} cannot be locked ({one_line(error)}): start no other run with this --out")
        return None

    @classmethod
    def _opened(cls, path: Path) -> RunLock | None:
        """Lock a file; None where `release` removed it after it was opened. Raises OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
        try:
            _lock(descriptor)
            if not _leads_to(path, descriptor):
                os.close(descriptor)
                return None
            os.truncate(descriptor, 0)
            os.write(descriptor, own_name().encode())
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def release(self) -> None:
        """Let others write; the file is removed."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self.descriptor)


def refuse_if_taken(folder: Path) -> None:
    """Raise OutputError where another process writes into a folder."""
    holder = holder_of(folder)
    if holder is not None and holder != own_name():
        raise OutputError(
            f"--out {folder} is being written by another run ({holder or 'which has just begun'})",
            "wait until it is done, or name another --out",
        )


def holder_of(folder: Path) -> str | None:
    """The process that writes into a folder, "" for one that has just begun; None for none, and without locks."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        _lock(descriptor, shared=True)  # until it is closed
    except BlockingIOError:
        return os.read(descriptor, 200).decode(errors="replace")
    except OSError:  # no locks here
        return None
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int, shared: bool = False) -> None:
    """Raise BlockingIOError where another process has the lock, OSError where there are no locks.

    Who asks for the holder shares the lock for a moment, which is waited for.
    """
    if fcntl is None:
        raise OSError("this system has no locks")
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    for wait in WAITS:
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        time.sleep(wait)
    return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def own_name() -> str:
    """This process and its machine, as a lock file names them."""
    return f"process {os.getpid()} on {platform.node()}"
