"""SHA-256 of many things at once, (N, 32) uint8: what images, and all that is computed of them, are found by."""

from __future__ import annotations

import hashlib

import numpy as np

HASH = 32
"""Bytes of a SHA-256."""

_AT_ONCE = 1024  # rows that are put together


def of_rows(*parts: np.ndarray) -> np.ndarray:
    """SHA-256 over the bytes that all parts hold of each row, (N, ...) of any type each -> (N, 32) uint8."""
    n = len(parts[0])
    hashes = np.empty((n, HASH), np.uint8)
    for start in range(0, n, _AT_ONCE):
        block = slice(start, min(start + _AT_ONCE, n))
        rows = np.concatenate([_bytes(part[block]) for part in parts], 1)
        digests = b"".join(hashlib.sha256(row).digest() for row in rows)
        hashes[block] = np.frombuffer(digests, np.uint8).reshape(-1, HASH)
    return hashes


def keys(hashes: np.ndarray) -> np.ndarray:
    """Hashes as single items, (N, 32) uint8 -> (N,), which can be sorted and compared."""
    items: np.ndarray = np.ascontiguousarray(hashes).view(f"V{HASH}")[:, 0]
    return items


def _bytes(rows: np.ndarray) -> np.ndarray:
    """(N, ...) with N above 0 -> (N, bytes) uint8."""
    return np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
