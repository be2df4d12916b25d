"""The loops that compute arrays block by block, and keep each block: whole, or row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fsbench import guard, hashes
from fsbench.claims import Alone
from fsbench.errors import PluginError
from fsbench.store import Arrays, fingerprint
from fsbench.stored import StoredArrays

if TYPE_CHECKING:
    from fsbench.interfaces import Context

BLOCK = 64
"""Images that are computed, and kept, together: what a killed process loses at most."""

Block = TypeVar("Block")


def spans(n: int, size: int | None = None) -> list[slice]:
    """Cut `n` images into consecutive blocks of `size` (by default BLOCK); the last one may be shorter."""
    size = size or BLOCK
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def length(block: slice) -> int:
    """Images of a block that `spans` gave."""
    return int(block.stop - block.start)


def in_blocks(
    title: str,
    kind: str,
    blocks: Sequence[Block],
    recipe: Callable[[Block], Mapping[str, Any]],
    compute: Callable[[Block], Arrays],
    context: Context,
    *,
    length: Callable[[Block], int],
    at_once: int = 1,
) -> list[StoredArrays]:
    """Compute arrays for each block, and keep them in the store under `kind`, where they are read when asked for.

    `recipe` gives everything that decides what `compute` gives: a block that was computed before under the same recipe
    is read. The progress bar called `title` counts images, of which a block has `length`. With `at_once` above 1 that
    number of blocks is divided among the cores: `compute` is then called from several threads.
    """
    entries = [context.store.entry(kind, recipe(block), partial(compute, block)) for block in blocks]
    progress, total, done = context.stage(title), sum(map(length, blocks)), 0

    def fill(part: slice) -> None:
        """Compute what is not there."""
        if at_once > 1:
            guard.parallel_map(len, entries[part])
        else:
            list(map(len, entries[part]))

    for part in context.store.claims.share(
        spans(len(blocks), at_once),
        lambda part: ",".join(entry.name for entry in entries[part]),
        lambda part: all(entry.find() for entry in entries[part]),
        fill,
    ):
        done += sum(map(length, blocks[part]))
        progress(done, total, {})
    return entries


def by_item(
    title: str,
    kind: str,
    recipe: Mapping[str, Any],
    items: np.ndarray,
    compute: Callable[[np.ndarray], Arrays],
    context: Context,
    together: Sequence[slice] = (),
) -> Arrays:
    """Compute a row of arrays for each item, and keep the rows in the store: each item is computed once.

    An item is an image; `items` (N, 32) holds the SHA-256 of all that decides its row beside `recipe`. `compute` is
    given the numbers of at most BLOCK items and owes a row for each, which may not depend on the others; where items
    are computed `together`, such as the frames of a clip, it is given the numbers of such a group. A recipe with a None
    in it is that of something without a key, and what it gives is not kept. The progress bar called `title` counts
    items. Arrays that are all in one file of the store are memory-mapped.
    """
    store = None if None in recipe.values() else context.store.features
    key, n = f"{kind}/{fingerprint(recipe)}" if store else "", len(items)
    known, rows = store.get(key, items) if store else (np.zeros(n, bool), {})
    if n and known.all():
        return rows
    table = _Table(title, n)
    table.put(np.flatnonzero(known), rows)
    _, first, of = np.unique(hashes.keys(items), return_index=True, return_inverse=True)
    unique = np.sort(first)
    groups = [np.arange(group.start, group.stop) for group in together] or [
        unique[block] for block in spans(len(unique))
    ]
    new = np.zeros(n, bool)
    new[unique] = ~known[unique]

    def is_there(group: np.ndarray) -> bool:
        return store is not None and bool(store.get(key, items[group])[0].all())

    def fill(group: np.ndarray) -> None:
        """Compute what is not known of a group; all of it where its images are computed together."""
        block = group if together else group[~table.known[group]]
        rows = compute(block)
        table.put(block, rows)
        if store:
            store.put(key, items[block], rows)

    progress, done = context.stage(title), n - int(new.sum())
    for group in (context.store.claims if store else Alone()).share(
        [group for group in groups if not known[group].all()],
        lambda group: f"{key}/{hashlib.sha256(items[group].data).hexdigest()}",
        is_there,
        fill,
    ):
        done += int(new[group].sum())
        progress(done, n, {})
    if len(others := unique[~table.known[unique]]) and store:  # computed by other processes
        there, rows = store.get(key, items[others])
        table.put(others[there], rows)
    for group in groups if n else [unique]:  # what is given for no item has the right shapes
        if not table.known[group].all() or not n:
            fill(group)  # the store could not keep it
    rest = np.flatnonzero(~table.known)
    for array in table.arrays.values():
        array[rest] = array[first[of[rest]]]
    return table.arrays


class _Table:
    """Arrays with a row for each of `n` items, which become known one group after the other."""

    def __init__(self, title: str, n: int) -> None:
        self.title, self.arrays, self.known = title, Arrays(), np.zeros(n, bool)

    def put(self, index: np.ndarray, rows: Arrays) -> None:
        """Take the rows of some items; the first ones say what arrays there are. Raises PluginError for others."""
        if not len(index) and len(self.known):
            return
        if not self.arrays:
            n = len(self.known)
            self.arrays = {name: np.empty((n, *array.shape[1:]), array.dtype) for name, array in rows.items()}
        check_alike(self.title, [self.arrays, rows])
        for name, array in rows.items():
            self.arrays[name][index] = array
        self.known[index] = True


def check_alike(who: str, parts: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Raise PluginError where the arrays of different images differ in names or shapes."""
    shapes = [{name: array.shape[1:] for name, array in part.items()} for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise PluginError(f"{who} gives other arrays for other images", "it owes the same for all")
