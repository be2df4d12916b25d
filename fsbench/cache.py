"""What lies in the cache folder: counted, read again, and removed.

Only what fsbench wrote is ever removed, by its name and place: everything else in the folder is somebody else's.
Pretrained weights are the user's (`fsbench weights`), and stay.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fsbench.feature_store import OLDER_KINDS, ROWS
from fsbench.mirror import UNSENT
from fsbench.shards import Shard
from fsbench.store import Store

RUNS, FETCHED, SENT = "runs", "fetched", ".sent"
"""Of runs at URLs: folders of those written and of those read, and the suffix of a mark beside one that was sent."""

KINDS = {
    "synthetic": "drawn people",
    "faces": "faces cut from photographs",
    "models": "trained models",
    "outputs": "outputs of models",
    "recursion": "outputs that were fed back",
    "rows/landmarks": "landmarks, by image",
    "rows/embeddings": "features of judges, by image",
    "rows/observations": "features of observers, by image",
    "rows/metrics": "rows of metrics, by output",
    "video": "faces found in videos",
    "estimates": "values over resamples",
    "umap": "maps of features",
    RUNS: "runs whose --out is a URL",
    FETCHED: "runs that were read from URLs",
    UNSENT: "what is still to be sent",
}
"""What is kept, by folder; plug-ins may keep more."""

WEIGHTS, LIBRARIES = "weights", "libraries"
UNTOUCHED = (WEIGHTS, LIBRARIES, UNSENT)
"""Folders of which nothing is removed."""

IDLE = 3600.0
"""Seconds after which a file that was not finished is taken for that of a killed process."""

TOGETHER = ("models", RUNS, FETCHED)
"""Kinds of which all files of a folder belong together."""

State = Literal["kept", "older", "unfinished", "unsent", "other"]

_ENTRY = re.compile(r"[0-9a-f]{20}\.safetensors")
_FOLDER = re.compile(r"[0-9a-f]{20}")
_UNFINISHED = re.compile(r"[0-9a-f]{12}\.\d+\.partial|[0-9a-f]{20}\.\d+\.aside|\.probe|[0-9a-f]{20}\.claim")


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache, or the folder of a trained model or of a run."""

    kind: str  # the folder that it lies in, below the cache
    path: Path
    size: int  # bytes
    used: float  # seconds since 1970: when it was last read or written
    state: State = "kept"


@dataclass(frozen=True)
class Removal:
    """Items that are removed, and why."""

    reason: str
    items: Sequence[CachedFile]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.items)


def scan(root: Path) -> list[CachedFile]:
    """All that lies in a cache folder; links are not followed."""
    items: list[CachedFile] = []
    for folder in _folders(root):
        if folder.name in UNTOUCHED:
            items += _all(folder, folder.name, "kept")
        elif folder.name in TOGETHER:
            items += [_folder(path, folder.name) for path in _folders(folder)]
        elif folder.name == ROWS:
            for key in (key for kind in _folders(folder) for key in _folders(kind)):
                items += _entries(key, key.parent.relative_to(root).as_posix())
        else:
            items += _entries(folder, folder.name)
    return items


def is_intact(root: Path, item: CachedFile) -> bool:
    """Read an item and compare it with its digest; True for what has none. That it was read counts for no use of it."""
    before = item.path.lstat()
    try:
        if item.kind.startswith(f"{ROWS}/"):
            shard = Shard.read(item.path, item.path.parent.relative_to(root / ROWS).as_posix())
            return bool(shard.intact(np.arange(len(shard))).all())
        if has_digest(item):
            return Store(root).load(item.kind, item.path.stem) is not None
    except (OSError, ValueError):
        return False
    finally:
        with suppress(OSError):
            if item.path.lstat().st_atime_ns != before.st_atime_ns:
                os.utime(item.path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)
    return True


def has_digest(item: CachedFile) -> bool:
    """Whether it can be told from its content that an item is what was written."""
    return item.state == "kept" and item.kind not in (*UNTOUCHED, *TOGETHER)


def damaged(root: Path, items: Sequence[CachedFile], done: Callable[[int], None]) -> list[CachedFile]:
    """Those that are not what was written; `done` is told the number of items after each."""
    found = []
    for n, item in enumerate(items):
        if has_digest(item) and not is_intact(root, item):
            found.append(item)
        done(n + 1)
    return found


def to_remove(
    items: Sequence[CachedFile],
    broken: Sequence[CachedFile],
    older_than: float | None = None,
    max_size: int | None = None,
    now: float | None = None,
) -> list[Removal]:
    """What pruning removes: older layouts, what killed processes left, what is damaged; then by age, and by size.

    `older_than` are seconds since an item was last used. Of what may be removed `max_size` bytes stay at most: what was
    not used for the longest time goes first.
    """
    now = time.time() if now is None else now
    lost = {item.path for item in broken}
    removals = [
        Removal("of an older layout", [item for item in items if item.state == "older"]),
        Removal(
            "left by killed processes",
            [item for item in items if item.state == "unfinished" and now - item.used > IDLE],
        ),
        Removal("damaged", list(broken)),
    ]
    rest = [item for item in items if item.state == "kept" and item.path not in lost and item.kind not in UNTOUCHED]
    rest.sort(key=lambda item: item.used)
    if older_than is not None:
        aged = [item for item in rest if now - item.used > older_than]
        removals.append(Removal("not used for that long", aged))
        rest = rest[len(aged) :]
    if max_size is not None:
        size, n = sum(item.size for item in rest), 0
        while size > max_size:
            size -= rest[n].size
            n += 1
        removals.append(Removal("the longest unused, above the size", rest[:n]))
    return [removal for removal in removals if removal.items]


def remove(root: Path, removals: Sequence[Removal]) -> list[CachedFile]:
    """Remove items and the folders that are empty then; returns those that could not be removed."""
    left = []
    for item in (item for removal in removals for item in removal.items):
        try:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        except OSError:
            left.append(item)
            continue
        for folder in item.path.relative_to(root).parents[:-1]:
            with suppress(OSError):  # it is not empty
                (root / folder).rmdir()
    return left


def _entries(folder: Path, kind: str) -> Iterator[CachedFile]:
    """What lies in a folder of fsbench's own; what it did not name itself is somebody else's."""
    for path in sorted(folder.iterdir()):
        if _UNFINISHED.fullmatch(path.name):
            yield _item(kind, path, "unfinished")
        elif _ENTRY.fullmatch(path.name):
            yield _item(kind, path, "older" if kind in OLDER_KINDS else "kept")
        else:
            yield from _all(path, kind, "other")


def _all(top: Path, kind: str, state: State) -> Iterator[CachedFile]:
    """All files in and below a folder, or the file itself."""
    if not stat.S_ISDIR(top.lstat().st_mode):
        yield _item(kind, top, state)
    for place, _, names in os.walk(top):
        yield from (_item(kind, Path(place, name), state) for name in names)


def _item(kind: str, path: Path, state: State) -> CachedFile:
    found = path.lstat()
    return CachedFile(kind, path, found.st_size, max(found.st_atime, found.st_mtime), state)


def _folder(folder: Path, kind: str) -> CachedFile:
    """A folder with all its files, such as a trained model."""
    files = list(_all(folder, kind, "kept"))
    state: State = "kept" if _FOLDER.fullmatch(folder.name) else "other"
    if kind == RUNS and not any(file.path.name.endswith(SENT) for file in files):
        state = "unsent"
    used = max((file.used for file in files), default=folder.lstat().st_mtime)
    return CachedFile(kind, folder, sum(file.size for file in files), used, state)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if stat.S_ISDIR(path.lstat().st_mode))
    except OSError:
        return []
