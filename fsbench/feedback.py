"""Outputs fed back: a swapper sees its own output as its next target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from fsbench.images import to_levels
from fsbench.interfaces import Source, Swapped, Swapper, Targets


def feed_back(
    swapper: Swapper, source: Source, targets: Targets, passes: int, done: Callable[[int], None] = lambda n: None
) -> Swapped:
    """Return the output after `passes` swaps, each of which has the output of the one before it as targets.

    Between two passes images are rounded to 8-bit levels. Landmarks and rows stay those of the first targets. The alpha
    is that of all passes laid over one another, 1 - (1 - alpha_1)(1 - alpha_2)...: where it is 0, no pass changed
    anything; it is None where one pass gives none. `done` is told the number of images after each pass.
    """
    output = Swapped.of(swapper.swap(source, targets))
    done(len(targets))
    for _ in range(1, passes):
        last = Swapped.of(swapper.swap(source, replace(targets, images=to_levels(output.images))))
        done(len(targets))
        output = Swapped(last.images, _over(output.alpha, last.alpha))
    return output


def _over(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else 1 - (1 - first) * (1 - second)
