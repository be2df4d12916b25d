"""The loop that computes arrays for many images block by block, and keeps each block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fsbench.interfaces import Context
from fsbench.store import Arrays

BLOCK = 64
"""Images that are computed, and kept, together: what a killed process loses at most."""


def spans(n: int, size: int | None = None) -> list[slice]:
    """Cut `n` images into consecutive blocks of `size` (by default BLOCK); the last one may be shorter."""
    size = size or BLOCK
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def in_blocks(
    title: str,
    kind: str,
    blocks: Iterable[slice],
    recipe: Callable[[slice], Mapping[str, Any]],
    compute: Callable[[slice], Arrays],
    context: Context,
) -> list[Arrays]:
    """Compute arrays for each block of images, and keep them in the store under `kind`.

    `recipe` gives everything that decides what `compute` gives: a block that was computed before under the same recipe
    is read. The progress bar called `title` advances where something is computed.
    """
    blocks = list(blocks)
    progress = context.stage(title)

    def shown(block: slice) -> Arrays:
        arrays = compute(block)
        progress(block.stop, blocks[-1].stop, {})
        return arrays

    return [context.store.arrays(kind, recipe(block), lambda block=block: shown(block)) for block in blocks]  # type: ignore[misc]
