"""What work costs whatever machine does it, and whoever else uses it: its processor time over that of known work."""

import resource
from collections.abc import Callable

import torch


def processor() -> float:
    """Seconds of the processor that this process and the ended children have taken."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost(work: Callable[[], object], over: Callable[[], object], times: int = 1) -> float:
    """How many times as much as `over` costs, done just before and just after it; the least of so many times."""

    def seconds(act: Callable[[], object]) -> float:
        before = processor()
        act()
        return processor() - before

    ratios = []
    for _ in range(times):
        before, spent, after = seconds(over), seconds(work), seconds(over)
        ratios.append(2 * spent / (before + after))
    return min(ratios)


def convolutions() -> None:
    """Trains three layers for 20 steps: about .4 seconds of an idle core."""
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 5, 2, 2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 5, 2, 2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(64, 64, 5, 2, 2),
    )
    images = torch.zeros(16, 3, 64, 64)
    for _ in range(20):
        layers(images).square().mean().backward()


def lines() -> None:
    """Splits and joins a text of a million lines: about .1 seconds of an idle core."""
    ",".join(line.strip() for line in ("a, b\n" * 1_000_000).splitlines())
