"""Two things that do the same work, measured in turns in one process: how many times as fast fsbench is.

A ratio holds on a machine of any speed. On a CPU it is of processor time on one thread, which holds on a busy machine
as well; a comparison whose threads matter says so, and is of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsbench.environment import quiet_openmp
from fsbench.guard import one_thread

quiet_openmp()  # before torch is imported, as the commands do

import torch  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

Work = Callable[[], object]


class Missing(Exception):
    """What a comparison needs is not on this machine; the message says what."""


@dataclass(frozen=True)
class Measured:
    """Seconds of the median round, and the median of the rounds' ratios."""

    ours: float
    theirs: float
    ratio: float  # times as fast as the other


@dataclass(frozen=True)
class Comparison:
    """fsbench's work beside another's."""

    name: str
    other: str  # what it is compared with
    least: float  # times as fast as the other, at least, with room for the noise of a busy machine
    prepare: Callable[[Path], tuple[Work, Work]]
    """Given an empty folder, return fsbench's work and the other's; raises Missing."""
    rounds: int = 5
    clock: Callable[[], float] = time.process_time

    def measure(self, folder: Path, rounds: int = 0) -> Measured:
        """Prepare and measure; raises Missing."""
        sides = self.prepare(folder)
        with one_thread(self.clock is time.process_time):
            return in_turns(*sides, rounds or self.rounds, self.clock)


def in_turns(ours: Work, theirs: Work, rounds: int, clock: Callable[[], float]) -> Measured:
    """Measure two works in turns, of which either is first in every second round; a round before these warms up."""
    clock = time.perf_counter if DEVICE.type == "cuda" else clock
    spent = np.empty((rounds + 1, 2))
    for i in range(rounds + 1):
        for side in (0, 1) if i % 2 else (1, 0):
            spent[i, side] = seconds((ours, theirs)[side], clock)
    spent = spent[1:]
    return Measured(*np.median(spent, 0).tolist(), float(np.median(spent[:, 1] / spent[:, 0])))


def seconds(work: Work, clock: Callable[[], float] = time.process_time) -> float:
    """What some work takes, on a GPU with all that it is given to do."""
    _wait()
    began = clock()
    work()
    _wait()
    return clock() - began


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
