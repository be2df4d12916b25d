"""SHA-256 of many things at once, (N, 32) uint8: what images, and all that is computed of them, are found by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

HASH = 32
"""Bytes of a SHA-256."""

_AT_ONCE = 1024  # rows that are put together


def of_rows(*parts: np.ndarray | bytes) -> np.ndarray:
    """SHA-256 over the bytes that all parts hold of each row, (N, ...) of any type each -> (N, 32) uint8.

    Bytes are a part that all rows share.
    """
    n = next(len(part) for part in parts if not isinstance(part, bytes))
    hashes = np.empty((n, HASH), np.uint8)
    for start in range(0, n, _AT_ONCE):
        block = slice(start, min(start + _AT_ONCE, n))
        rows = np.concatenate([_bytes(part, block) for part in parts], 1)
        hashes[block] = stack(hashlib.sha256(row).digest() for row in rows)
    return hashes


def hex_digits(digest: np.ndarray) -> str:
    """A SHA-256, or the start of one, as text, (B,) uint8."""
    return digest.tobytes().hex()


def stack(digests: Iterable[bytes]) -> np.ndarray:
    """SHA-256 digests as (N, 32) uint8."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, HASH)


def keys(hashes: np.ndarray) -> np.ndarray:
    """Hashes as single items, (N, 32) uint8 -> (N,), which can be sorted and compared."""
    items: np.ndarray = np.ascontiguousarray(hashes).view(f"V{HASH}")[:, 0]
    return items


def _bytes(part: np.ndarray | bytes, block: slice) -> np.ndarray:
    """What a part holds of a block of rows, which is not empty, (rows, bytes) uint8."""
    if isinstance(part, bytes):
        return np.broadcast_to(np.frombuffer(part, np.uint8), (block.stop - block.start, len(part)))
    rows = part[block]
    return np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
