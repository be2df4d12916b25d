"""A small set of synthetic people, and swaps that need no training."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.interfaces import Source, Targets

SMALL = "synthetic(people=2,sessions=9,images=2,gallery=8,frames=4,size=64)"
"""A few stills of each person, two clips of each, and eight strangers."""

TINY = "synthetic(people=2,sessions=9,images=1,gallery=0,clips=0,size=48)"


class Blend:
    """Cross-fades targets with the source's first image, and counts how often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def swap(self, source: Source, targets: Targets) -> Tensor:
        self.calls += 1
        return blend(source, targets)


class Hide:
    """Leaves every second target as it is, and blacks out the last."""

    def swap(self, source: Source, targets: Targets) -> Tensor:
        outputs = blend(source, targets)
        outputs[::2] = targets.images[::2]
        outputs[-1] = 0
        return outputs


def blend(source: Source, targets: Targets) -> Tensor:
    """Cross-fade targets with the source's first image."""
    return torch.lerp(targets.images, source.images[:1], 0.5)
