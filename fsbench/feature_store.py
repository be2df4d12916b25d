"""Rows that networks and metrics computed, on disk: one row per image, under a key and the hash of what it is of.

`root/KEY` holds the shards of a key (`fsbench.shards`). They never change: each is written beside, renamed, and called
by its digest. Any number of processes may so read and write one store, without a lock that a killed one could leave
behind. Small shards are merged as soon as there are many of them, and removed when the merged one is there.

Of a store at a URL (`fsbench.mirror`) the shards of a key are listed there when a row is not here, and those that are
missing are fetched; what is written and removed here is written and removed there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fsbench.atomic import touch
from fsbench.errors import OutputError, RemoteError
from fsbench.hashes import keys
from fsbench.mirror import Mirror
from fsbench.shards import SUFFIX, Rows, Shard, state_of, write_shard

MERGED = 16
"""Shards of about one size that are merged into one: n rows lie in at most 15 * log16(n) of them."""


ROWS = "rows"
"""Folder of the cache in which rows are kept."""

OLDER_KINDS = ("landmarks", "features", "observations")
"""Folders beside `root` in which rows were kept by blocks of images, up to version 0.9."""


class FeatureStore:
    """Rows of arrays, kept per key and image; what cannot be read or written is done without, and told once."""

    def __init__(self, root: Path, tell: Callable[[str, str], None], mirror: Mirror | None = None) -> None:
        """`tell` is given a topic and a sentence, and says the first sentence of a topic only."""
        self.root, self._tell, self._mirror = root, tell, mirror or Mirror(root)
        self._open: dict[str, dict[Path, Shard]] = {}
        self._looked = False  # for an older layout

    def get(self, key: str, hashes: np.ndarray) -> tuple[np.ndarray, Rows]:
        """Return which of the images are known, (N, 32) hashes -> (N,) bool, and the rows of these, in their order.

        Rows that lie side by side in one shard are memory-mapped. Writing into them changes no file.
        """
        self._tell_older()
        known, rows = self._get(key, hashes)
        if not known.all() and self._mirror.fetch_all(self.root / key):
            known, rows = self._get(key, hashes)
        return known, rows

    def _get(self, key: str, hashes: np.ndarray) -> tuple[np.ndarray, Rows]:
        used: list[Shard] = []
        of, places = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        shards = self._shards(key)
        for shard in shards:
            todo = np.flatnonzero(of < 0)
            found = shard.find(hashes[todo])
            todo, found = todo[found >= 0], found[found >= 0]
            if not len(todo) or (used and used[0].layout != shard.layout):
                continue
            intact = shard.intact(found)
            of[todo[intact]], places[todo[intact]] = len(used), found[intact]
            used.append(shard)
            touch(shard.path)
            if not intact.all():
                self._replace(key, [shard])
        for shard in shards:
            shard.release()
        known = of >= 0
        return known, _gather(used, of[known], places[known])

    def put(self, key: str, hashes: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
        """Keep rows (N, ...) of images with these hashes (N, 32), atomically."""
        if not len(hashes):
            return
        try:
            self._write(key, [Shard.of(hashes, rows)])
            self._merge(key)
        except RemoteError:
            raise
        except OutputError as error:
            self._tell("closed", f"{error.message}: work goes on without the cache")

    def _merge(self, key: str) -> None:
        alike: dict[tuple[int, str], list[Shard]] = {}
        for shard in self._shards(key):
            alike.setdefault(((len(shard).bit_length() - 1) // 4, shard.layout), []).append(shard)
        for shards in alike.values():
            if len(shards) >= MERGED:
                self._replace(key, sorted(shards, key=lambda shard: shard.state[-1]))  # as they were written

    def _replace(self, key: str, shards: Sequence[Shard]) -> None:
        """Put what is intact in some shards, each row once, into one, and remove them."""
        intact = [np.flatnonzero(shard.intact(np.arange(len(shard)))) for shard in shards]
        if any(len(rows) < len(shard) for rows, shard in zip(intact, shards, strict=True)):
            self._tell_damaged()
        items = keys(np.concatenate([shard.hashes[rows] for rows, shard in zip(intact, shards, strict=True)]))
        first = np.zeros(len(items), bool)
        first[np.unique(items, return_index=True)[1]] = True
        once = np.split(first, np.cumsum([len(rows) for rows in intact])[:-1])
        kept = [rows[here] for rows, here in zip(intact, once, strict=True)]
        parts = [
            shard if len(rows) == len(shard) else shard.take(rows)
            for rows, shard in zip(kept, shards, strict=True)
            if len(rows)
        ]
        try:
            written = self._write(key, parts) if parts else None
        except RemoteError:
            raise
        except OutputError as error:
            self._tell("closed", f"{error.message}: work goes on without the cache")
            return
        for shard in shards:
            if shard.path != written:
                self._remove(shard.path)

    def _write(self, key: str, parts: Sequence[Shard]) -> Path:
        path = write_shard(self.root / key, key, parts)
        self._mirror.send(path)
        return path

    def _remove(self, path: Path) -> None:
        with suppress(OSError):  # where nothing can be removed, it is found damaged again
            if path.is_dir() and not path.is_symlink():
                path.rename(path.with_suffix(f".{os.getpid()}.aside"))
            else:
                path.unlink()
        self._mirror.drop(path)

    def _shards(self, key: str) -> list[Shard]:
        """All shards of a key that can be believed, opened once."""
        before, shards = self._open.get(key, {}), dict[Path, Shard]()
        for _ in range(100):  # other processes may merge shards after they were listed
            try:
                shards = {path: shard for path in self._listed(key) if (shard := self._opened(key, path, before))}
                break
            except FileNotFoundError:
                continue
        self._open[key] = shards
        return list(shards.values())

    def _listed(self, key: str) -> list[Path]:
        try:
            return sorted(path for path in (self.root / key).iterdir() if path.suffix == SUFFIX)
        except OSError:  # there is none yet, or something else in its place
            return []

    def _opened(self, key: str, path: Path, before: Mapping[Path, Shard]) -> Shard | None:
        """A shard, as it was opened before where it is the same file; None for one that was removed: it was damaged.

        Raises FileNotFoundError where it is gone.
        """
        try:
            if path in before and before[path].state == state_of(path.stat()):
                return before[path]
            return Shard.read(path, key)
        except (OSError, ValueError):
            if not os.path.lexists(path):
                raise FileNotFoundError(path) from None
            self._tell_damaged()
            self._remove(path)
            return None

    def _tell_older(self) -> None:
        cache = self.root.parent
        if not self._looked and any(next((cache / kind).glob(f"*{SUFFIX}"), None) for kind in OLDER_KINDS):
            self._tell(
                "older",
                f"the cache {cache} also holds features of an older layout, which are left alone: "
                "fsbench cache prune removes them",
            )
        self._looked = True

    def _tell_damaged(self) -> None:
        self._tell("damaged", f"the cache {self.root.parent} holds damaged or changed entries: they are computed again")


def _gather(shards: Sequence[Shard], of: np.ndarray, places: np.ndarray) -> Rows:
    """Rows at places in shards, number `of` each; mapped where they are consecutive, else copied."""
    if not len(of):
        return {}
    rows = shards[of[0]].rows
    if (of == of[0]).all() and (np.diff(places) == 1).all():
        return {name: array[places[0] : places[0] + len(places)] for name, array in rows.items()}
    copies = {name: np.empty((len(of), *array.shape[1:]), array.dtype) for name, array in rows.items()}
    for number, shard in enumerate(shards):
        here = of == number
        for name, copy in copies.items():
            copy[here] = shard.rows[name][places[here]]
    return copies
