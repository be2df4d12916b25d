"""Content-addressed cache: a file is either whole or not there.

Keys are hashes of everything that decides the content (`fingerprint`), so nothing is ever invalidated: another recipe
has another name. A process killed at any moment leaves only `*.partial` files, which nobody reads.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fsbench.atomic import FULL, atomic_path, touch
from fsbench.claims import Alone, Claims
from fsbench.errors import OutputError, RemoteError, one_line
from fsbench.feature_store import ROWS, FeatureStore
from fsbench.mirror import Mirror
from fsbench.remote import Objects
from fsbench.stored import StoredArrays, open_regular

Arrays = dict[str, np.ndarray]


def fingerprint(recipe: Any) -> str:
    """Return 20 hex digits of the SHA-256 of `recipe` as canonical JSON; raises TypeError for what JSON cannot hold."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def release(*distributions: str) -> list[str]:
    """Return libraries with the first two parts of their versions, for keys of what they compute; without those absent.

    >>> release("no such library")
    []
    """
    found = []
    for name in distributions:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {'.'.join(metadata.version(name).split('.')[:2])}")
    return found


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of all files of a folder by name; None where it cannot be known.

    A file is read once per process and state (size, times, place on the disk). What is neither file nor folder, such as
    a pipe, is never opened.
    """
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            return _file_digest(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if not stat.S_ISDIR(found.st_mode):
            return None
        parts: list[tuple[str, str]] = []
        seen: set[Path] = set()
        for place, below, names in os.walk(path, followlinks=True, onerror=_reraise):
            if (here := Path(place).resolve()) in seen:
                below.clear()
                continue
            seen.add(here)
            below.sort()
            for name in sorted(names):
                digest = content_digest(Path(place, name))
                if digest is None:
                    return None
                parts.append((Path(place, name).relative_to(path).as_posix(), digest))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    except OSError:
        return None


def _reraise(error: OSError) -> None:
    raise error


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, *state: int) -> str:
    return file_sha256(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, str] | None = None) -> None:
    """Write arrays, and facts about them, as one safetensors file, atomically."""
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(facts or {}))
    with atomic_path(path) as partial:
        partial.write_bytes(in_fixed_order(content))  # not save_file: a full disk would not be an OSError there


def in_fixed_order(content: bytes) -> bytes:
    """A safetensors file with its facts sorted by name: equal tensors and facts then make equal files."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" not in header:
        return content
    ordered = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Return what `write_arrays` wrote; raises OSError and ValueError for what is no such file.

    Nothing but a regular file is opened, and what its header says is held against its size before memory is taken.
    """
    content = read_regular(path)
    end = 8 + int.from_bytes(content[:8], "little")
    if not 8 < end <= len(content):
        raise ValueError("its header is longer than the file")
    try:
        arrays = load(content)
        header = json.loads(content[8:end])
    except (SafetensorError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return arrays, header.get("__metadata__", {})


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; raises OSError for anything else, which could take for ever to open."""
    with open_regular(path) as file:
        return file.readall()


def copy_file(source: Path, path: Path) -> None:
    """Copy a file atomically."""
    with atomic_path(path) as partial:
        shutil.copyfile(source, partial)


def passing_folder() -> Path:
    """Make a folder that is gone with this process, for what cannot be kept."""
    folder = Path(tempfile.mkdtemp(prefix="fsbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Store:
    """Arrays on disk under `root/kind/key`, computed at most once.

    Each entry holds a digest over its kind, key and content. One that does not match, or that is something else than a
    regular file, is computed again; where the store cannot be written, work goes on without it. Both are told once.
    `features` keeps rows of arrays, one per image. `claims` says what this process computes of what several lack. With
    `objects` the store is at their URL, and `root` is a copy of what was used here: `mirror` fetches and sends, and
    raises RemoteError where it cannot.
    """

    def __init__(
        self, root: Path, tell: Callable[[str], None] = lambda message: None, objects: Objects | None = None
    ) -> None:
        self.root, self.tell, self.mirror = root, tell, Mirror(root, objects)
        self.claims: Claims = Alone()
        self._told: set[str] = set()
        self.features = FeatureStore(root / ROWS, self._say_once, self.mirror)

    def as_json(self) -> dict[str, Any]:
        """What `from_json` opens the same store by, in another process."""
        return {"root": str(self.root), "url": self.mirror.objects.url if self.mirror.objects else None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], tell: Callable[[str], None] = lambda message: None) -> Store:
        """Open the store of another process, which wrote `as_json`."""
        return cls(Path(fields["root"]), tell, Objects(fields["url"], tell) if fields["url"] else None)

    def folder(self, kind: str, key: str) -> Path:
        """Return the folder that belongs to a key, for what is not arrays (checkpoints, models)."""
        return self.root / kind / key

    def load(self, kind: str, key: str) -> Arrays | None:
        """Return the arrays stored under a key, or None where there are none that can be trusted."""
        path = self._path(kind, key)
        self.mirror.fetch(path)
        if not os.path.lexists(path):
            return None
        try:
            arrays, facts = read_arrays(path)
        except (OSError, ValueError):
            arrays, facts = {}, {}
        if facts.get("digest") == _digest(kind, key, arrays):
            touch(path)
            return arrays
        self._tell_damage()
        return None

    def save(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store arrays under a key, atomically; a folder that stands in the way is moved aside. Raises OutputError."""
        path = self._path(kind, key)
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # then the entry cannot be written, and that is told
                path.rename(path.with_name(f"{key}.{os.getpid()}.aside"))
        write_arrays(path, arrays, {"digest": _digest(kind, key, arrays)})
        self.mirror.send(path)

    def arrays(self, kind: str, recipe: Any, compute: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
        """Return what `compute` gives for this recipe, from disk where it was computed before.

        A recipe with a None in it is that of something without a key, and what it gives is not kept. Raises OutputError
        where the disk is full.
        """
        if isinstance(recipe, Mapping) and None in recipe.values():
            return dict(compute())
        key = fingerprint(recipe)
        found = [arrays] if (arrays := self.load(kind, key)) is not None else []

        def is_there(key: str) -> bool:
            if not found and (arrays := self.load(kind, key)) is not None:
                found.append(arrays)
            return bool(found)

        def keep(key: str) -> None:
            found.append(dict(compute()))
            self._save(kind, key, found[0])

        if not found:
            list(self.claims.share([key], lambda key: f"{kind}/{key}", is_there, keep))
        return found[0]

    def entry(self, kind: str, recipe: Any, compute: Callable[[], Mapping[str, np.ndarray]]) -> StoredArrays:
        """Like `arrays`, for arrays that may fill the memory: they stay on disk, where they are read when asked for.

        They are computed when they are asked for first. What cannot be kept in this store is kept in a passing folder
        until the process ends.
        """
        if isinstance(recipe, Mapping) and None in recipe.values():
            return self.passing.entry(kind, uuid.uuid4().hex, compute)
        key = fingerprint(recipe)

        def paths() -> list[Path]:
            self.mirror.fetch(self._path(kind, key))
            stores = [self, *([self.passing] if "passing" in vars(self) else [])]
            return [store._path(kind, key) for store in stores]

        return StoredArrays(f"{kind}/{key}", paths, lambda: self._keep(kind, key, compute()), self._tell_damage)

    def _keep(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> Path:
        """Store arrays under a key, in the passing store where this one cannot be written; returns the file."""
        if self._save(kind, key, arrays):
            return self._path(kind, key)
        self.passing.save(kind, key, arrays)
        return self.passing._path(kind, key)

    @functools.cached_property
    def passing(self) -> Store:
        """A store that is gone with this process."""
        return Store(passing_folder(), self.tell)

    def _save(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """Store arrays under a key, and tell once where they cannot be; raises OutputError where the disk is full."""
        try:
            self.save(kind, key, arrays)
        except RemoteError:
            raise
        except OutputError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
                raise
            self._say_once("closed", f"{error.message}: work goes on without the cache")
            return False
        return True

    def _tell_damage(self) -> None:
        """Tell once that an entry is not what was written."""
        self._say_once("damaged", f"the cache {self.root} holds damaged or changed entries: they are computed again")

    def can_write(self, folder: Path) -> bool:
        """Whether a folder of the store can be made and written; told once where it cannot."""
        try:
            with atomic_path(folder / ".probe") as probe:
                probe.write_bytes(b"")
            (folder / ".probe").unlink()
        except (OutputError, OSError) as error:
            self._say_once("closed", f"{one_line(error)}: work goes on without the cache")
            return False
        return True

    def _path(self, kind: str, key: str) -> Path:
        return self.root / kind / f"{key}.safetensors"

    def _say_once(self, topic: str, message: str) -> None:
        if topic not in self._told:
            self._told.add(topic)
            self.tell(message)


def _digest(kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(f"{kind}/{key}".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"/{name}:{array.dtype.str}{array.shape}:".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
