"""Content-addressed cache and atomic writes: a file is either whole or not there.

Keys are hashes of everything that decides the content (`fingerprint`), so nothing is ever invalidated: another recipe
has another name. A process killed at any moment leaves only `*.partial` files, which nobody reads.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fsbench.errors import OutputError

Arrays = dict[str, np.ndarray]


def fingerprint(recipe: Any) -> str:
    """Return 20 hex digits of the SHA-256 of `recipe` as canonical JSON; raises TypeError for what JSON cannot hold."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(error: OSError, path: Path) -> OutputError:
    """Return what to raise where a disk does not take `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"no space left on the disk that holds {path.parent}",
            "free some space, or point --out and FSBENCH_CACHE elsewhere; finished work is kept",
        )
    return OutputError(f"cannot write {path}: {error.strerror}", "choose another --out or FSBENCH_CACHE")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed, on failure removed.

    Raises OutputError when the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{fingerprint(path.name)[:12]}.{os.getpid()}.partial")  # never too long a name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise refused(error, path) from error
    finally:
        with suppress(OSError):  # where the folder itself is unusable, the error above is the one to tell
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as one safetensors file, atomically."""
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    with atomic_path(path) as partial:
        partial.write_bytes(content)  # not save_file: a full disk would not be an OSError there


def copy_file(source: Path, path: Path) -> None:
    """Copy a file atomically."""
    with atomic_path(path) as partial:
        shutil.copyfile(source, partial)


class Store:
    """Arrays on disk under `root/kind/key`, computed at most once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: str, key: str) -> Path:
        """Return the folder that belongs to a key, for what is not arrays (checkpoints, models)."""
        return self.root / kind / key

    def load(self, kind: str, key: str) -> Arrays | None:
        """Return the arrays stored under a key, or None where there are none that can be read whole."""
        path = self.root / kind / f"{key}.safetensors"
        if not path.exists():
            return None
        try:
            return load_file(path)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # damaged from outside: compute it again rather than trust it
            return None

    def save(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store arrays under a key, atomically."""
        write_arrays(self.root / kind / f"{key}.safetensors", arrays)

    def arrays(self, kind: str, recipe: Any, compute: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
        """Return what `compute` gives for this recipe, from disk where it was computed before."""
        key = fingerprint(recipe)
        found = self.load(kind, key)
        if found is None:
            found = dict(compute())
            self.save(kind, key, found)
        return found
