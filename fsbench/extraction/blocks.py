"""The loops that compute arrays block by block, and keep each block: whole, or row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fsbench import guard, hashes
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

    def known(block: Block) -> StoredArrays:
        entry = context.store.entry(kind, recipe(block), lambda: compute(block))
        len(entry)  # computes what is not there
        return entry

    progress, total = context.stage(title), sum(map(length, blocks))
    entries: list[StoredArrays] = []
    for part in spans(len(blocks), at_once):
        entries += guard.parallel_map(known, blocks[part]) if at_once > 1 else map(known, blocks[part])
        progress(sum(map(length, blocks[: part.stop])), total, {})
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
    missing = np.flatnonzero(~known)
    if n and not len(missing):
        return rows
    whole: Arrays = {}
    if len(missing) < n:
        _fill(whole, np.flatnonzero(known), rows, n, title)
    _, first, of = np.unique(hashes.keys(items[missing]), return_index=True, return_inverse=True)
    unique = np.sort(missing[first])
    progress, done = context.stage(title), n - len(unique)
    blocks = [unique[block] for block in spans(len(unique))]
    if together:
        groups = [np.arange(group.start, group.stop) for group in together]
        blocks = [group for group in groups if not known[group].all()]
    for block in blocks or [unique[:0]]:  # what is given for no item has the right shapes
        rows = compute(block)
        _fill(whole, block, rows, n, title)
        if store:
            store.put(key, items[block], rows)
        done += int(np.isin(block, unique).sum())
        progress(done, n, {})
    if len(unique) < len(missing):
        for array in whole.values():
            array[missing] = array[missing[first][of]]
    return whole


def _fill(whole: Arrays, index: np.ndarray, rows: Arrays, n: int, who: str) -> None:
    """Write rows into arrays of `n` rows, which are made by the first ones; raises PluginError for other shapes."""
    if not whole:
        whole.update({name: np.empty((n, *array.shape[1:]), array.dtype) for name, array in rows.items()})
    check_alike(who, [whole, rows])
    for name, array in rows.items():
        whole[name][index] = array


def check_alike(who: str, parts: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Raise PluginError where the arrays of different images differ in names or shapes."""
    shapes = [{name: array.shape[1:] for name, array in part.items()} for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise PluginError(f"{who} gives other arrays for other images", "it owes the same for all")
