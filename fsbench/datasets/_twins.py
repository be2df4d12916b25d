"""The same photograph in two files: re-saved, resized, cut at the borders, made brighter."""

from __future__ import annotations

from collections.abc import Callable

import imagehash
import numpy as np
from PIL import Image

from fsbench.images import ImageSet

NEAR = 40
"""Bits of 256 in which two crops differ at most that are taken for one photograph.

The hash is imagehash's dhash of 16 x 16 (is a pixel brighter than its left neighbour?) of the aligned crop. Measured on
LFW, 2138 photographs of 128 pixels a crop: of 428 that were saved again it finds 99.5 % at JPEG quality 95, 97.4 % at
75, 97.0 % at 60, 96.5 % as WebP of quality 70, 93.9 % at half the size, 94.9 % at twice the size, 94.4 % without 2 to
5 % of each border and 96.3 % made 8 % brighter; the rest are those in which the detector puts the landmarks elsewhere.
Of 2.1 million pairs of two people none is taken for one photograph (the nearest differ in 51 bits); of 171 thousand
pairs of one person 11 are, all of them one photograph or one burst when looked at. Neighbouring frames of a video
differ in 14 to 20 bits (median of three clips) and are found: across sessions and splits they flatter as much as a
copy does, and within a session nothing is compared. dhash and phash of 64 bits, which take different people for one
(3 and 8 bits apart) before they find as many copies, and phash of 256 bits were measured, too.
"""

_SIDE = 16
_PAIRS = 4_000_000  # compared at a time

Crossing = Callable[[np.ndarray, np.ndarray], np.ndarray]


def hashes(crops: ImageSet) -> np.ndarray:
    """(N, 3, S, S) -> (N, 4) uint64, the 256 bits of each crop."""
    bits = [
        imagehash.dhash(Image.fromarray(crop), hash_size=_SIDE).hash.ravel()
        for portion in crops.portions()
        for crop in portion
    ]
    packed = np.packbits(np.array(bits, bool).reshape(len(crops), _SIDE * _SIDE), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)


def near(bits: np.ndarray, crosses: Crossing) -> np.ndarray:
    """Return the pairs (i, j), i < j, of one photograph for which `crosses` is true, (P, 2), the nearest first.

    `bits` is (N, 4) of `hashes`; `crosses` takes two arrays of indices and gives a bool for each pair.
    """
    found, rows = [], max(1, _PAIRS // max(len(bits), 1))
    for start in range(0, len(bits), rows):
        block = bits[start : start + rows]
        distance = np.zeros((len(block), len(bits)), np.uint16)
        for word in range(bits.shape[1]):
            distance += np.bitwise_count(block[:, None, word] ^ bits[None, :, word])
        i, j = np.nonzero(distance <= NEAR)
        keep = (i + start < j) & crosses(i + start, j)
        found.append(np.column_stack([i + start, j, distance[i, j]])[keep])
    pairs = np.concatenate(found) if found else np.empty((0, 3), np.int64)
    return pairs[np.argsort(pairs[:, 2], kind="stable"), :2]
