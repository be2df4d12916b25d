"""Atomic writes: a file is either whole or not there, whenever the process is killed."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsbench.errors import OutputError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk without space."""


def refused(error: OSError, path: Path) -> OutputError:
    """Return what to raise where a disk does not take `path`."""
    if error.errno in FULL:
        return OutputError(
            f"no space left on the disk that holds {path.parent}",
            "free some space, or point --out and FSBENCH_CACHE elsewhere; finished work is kept",
        )
    return OutputError(f"cannot write {path}: {error.strerror}", "choose another --out or FSBENCH_CACHE")


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed, on failure removed.

    Without `durable` it is not flushed: after a loss of power the file may be empty. Raises OutputError when the disk
    is full or the folder cannot be written.
    """
    token = secrets.token_hex(6)  # processes on two machines may have one number
    partial = path.with_name(f"{token}.{os.getpid()}.partial")  # never too long a name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise refused(error, path) from error
    finally:
        with suppress(OSError):  # where the folder itself is unusable, the error above is the one to tell
            partial.unlink(missing_ok=True)


RECENT = 3600.0
"""Seconds within which it is not written down again that a file was used: each time is a change of the file."""


def touch(path: Path) -> None:
    """Write down that a file of the cache was used: `fsbench cache prune` removes what was not used for long."""
    with suppress(OSError):
        found = path.stat()
        if time.time() - max(found.st_atime, found.st_mtime) > RECENT:
            os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))
