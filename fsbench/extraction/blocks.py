"""The loop that computes arrays block by block, and keeps each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fsbench.interfaces import Context
from fsbench.store import Arrays
from fsbench.stored import StoredArrays

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
) -> list[StoredArrays]:
    """Compute arrays for each block, and keep them in the store under `kind`, where they are read when asked for.

    `recipe` gives everything that decides what `compute` gives: a block that was computed before under the same recipe
    is read. The progress bar called `title` counts images, of which a block has `length`.
    """
    progress, total, done = context.stage(title), sum(map(length, blocks)), 0
    entries = []
    for block in blocks:
        entry = context.store.entry(kind, recipe(block), lambda block=block: compute(block))  # type: ignore[misc]
        len(entry)  # computes what is not there
        entries.append(entry)
        done += length(block)
        progress(done, total, {})
    return entries
