"""Recursion: a model is shown its own output as the next target, as in experiment 7 of the faceswap-GAN notes."""

from __future__ import annotations

from fsbench.errors import UsageError
from fsbench.feedback import feed_back
from fsbench.interfaces import Source, Swapped, Swapper, Targets
from fsbench.registry import wrappers


@wrappers.register("recursive")
class Recursive:
    """Feeds outputs back as targets: `n` swaps in all, rounded to 8-bit levels between two of them.

    With `n` 1 it is the swapper itself. The alpha is that of all swaps laid over one another.
    """

    def __init__(self, *, n: int = 2) -> None:
        if n < 1:
            raise UsageError(f"recursive(n={n}) swaps less than once", "n counts the swaps: 1 or more")
        self.n = n

    def wrap(self, swapper: Swapper) -> Repeated:
        """Return a swapper that swaps n times."""
        return Repeated(swapper, self.n)


class Repeated:
    """A swapper that is shown its own outputs."""

    def __init__(self, swapper: Swapper, n: int) -> None:
        self.swapper, self.n = swapper, n

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return the output of the last swap."""
        return feed_back(self.swapper, source, targets, self.n)
