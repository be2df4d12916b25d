"""How many bytes the pictures of a page may take, so that the page can be mailed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

PAGE = 15_000_000
"""Bytes of a page with all that is on it."""

BRIEF = 1_500_000
"""Of these, for the pictures at the top of the page of a run."""

HEATMAPS = 2_500_000
"""Of these, for the heatmaps of all judges."""

FIGURES = 60
"""Models in the figures of all judges together: what one of them takes there under one judge has about 65 kB."""

SHARES = {"clips": 0.6, "recursion": 0.3, "galleries": 1.0, "pictures": 0.4, "flips": 0.5, "samples": 1.0}
"""Sections whose pictures are chosen by room, in the order in which they are built, and for how much of the bytes that
are left then: three of the page of a run, and three of that of a comparison. Text, tables and other figures come before
them; what a section does not need is left for the next."""

TRIES = 6
"""How often a section that came out too large is built again, for less."""


def size(text: str) -> int:
    """Bytes of a text on a page."""
    return len(text.encode())


def fewer(costs: Sequence[float], most: int, room: float) -> tuple[int, int]:
    """Return how many rows of each group, and how many groups, have room: there are fewer rows before fewer groups.

    `costs` are the bytes of one row of each group, of which a group has at most `most`.

    >>> fewer([10, 10], 4, 100), fewer([10, 10], 4, 50), fewer([10, 10], 4, 15), fewer([10], 4, 0)
    ((4, 2), (2, 2), (1, 1), (1, 0))
    """
    rows = max(1, min(most, int(room / (sum(costs) or 1))))
    return rows, sum(total * rows <= room for total in accumulate(costs))


def fit(html: Callable[[int], str | None], room: int) -> str | None:
    """Return what `html` gives for at most `room` bytes; it is asked again, for less, while it comes out larger."""
    asked = room
    for _ in range(TRIES):
        text = html(asked)
        if text is None or size(text) <= room:
            break
        asked = int(0.9 * asked * room / size(text))
    return text
