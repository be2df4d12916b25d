"""Which frames and pixels TecoGAN's metrics look at."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._clips import next_to

_CUT = 2  # frames at either end
_MULTIPLE, _BORDER = 32, 16  # pixels

Pixels = TypeVar("Pixels", np.ndarray, Tensor)


def pairs(batch: Batch) -> list[int]:
    """Frames that are compared with the next one: consecutive ones, without the first and the last two of the clip.

    Empty for crops that have no middle.
    """
    if _side(batch.output.shape[-1]) == 0:
        return []
    followed = np.flatnonzero(next_to(batch.rows["frame"].to_numpy(int)))
    last = len(batch.rows) - _CUT - 1
    return [int(k) for k in followed if k >= _CUT and k + 1 <= last]


def inner(images: Pixels) -> Pixels:
    """The middle of (..., S, S) images: the largest multiple of 32 pixels that leaves 16 or more around it."""
    size = images.shape[-1]
    side = _side(size)
    middle = slice((size - side) // 2, (size - side) // 2 + side)
    return images[..., middle, middle]


def _side(size: int) -> int:
    return max(0, (size - _BORDER) // _MULTIPLE * _MULTIPLE)
