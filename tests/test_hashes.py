"""Hashes of rows are SHA-256 over all that belongs to each row, whatever its types and shapes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fsbench import hashes

RNG = np.random.default_rng(0)
PARTS = {
    "vectors": RNG.normal(size=(2500, 3)).astype(np.float32),
    "columns of a matrix": RNG.integers(0, 99, (7, 2500)).T,
    "images": RNG.integers(0, 256, (2500, 4, 4, 3)).astype(np.uint8),
    "numbers": np.arange(2500),
    "flags": np.arange(2500) % 3 == 0,
    "nothing": np.empty((2500, 0), np.float32),
    "the same": np.broadcast_to(np.arange(5, dtype=np.uint8), (2500, 5)),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_hash_is_of_the_bytes_of_its_row(name: str) -> None:
    part = PARTS[name]
    found = hashes.of_rows(part, part)
    assert found.shape == (2500, 32)
    for i in (0, 1, 1023, 1024, 2499):
        assert found[i].tobytes() == hashlib.sha256(part[i].tobytes() * 2).digest()


def test_bytes_are_a_part_that_all_rows_share() -> None:
    rows = PARTS["vectors"]
    found = hashes.of_rows(b"shared", rows, b"")
    for i in (0, 1023, 1024, 2499):
        assert found[i].tobytes() == hashlib.sha256(b"shared" + rows[i].tobytes()).digest()
    assert hashes.of_rows(b"shared", rows[:0]).shape == (0, 32)


def test_digests_as_an_array() -> None:
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(3)]
    assert [row.tobytes() for row in hashes.stack(digests)] == digests
    assert hashes.stack([]).shape == (0, 32)


def test_no_rows() -> None:
    assert hashes.of_rows(np.empty((0, 3)), np.empty(0)).shape == (0, 32)
    assert hashes.keys(np.empty((0, 32), np.uint8)).shape == (0,)


def test_keys_tell_hashes_apart_that_differ_in_one_byte() -> None:
    same = np.zeros((66, 32), np.uint8)
    same[np.arange(32), np.arange(32)] = 1
    same[32 + np.arange(32), np.arange(32)] = 255
    unique, of = np.unique(hashes.keys(same), return_inverse=True)
    assert len(unique) == 65
    assert of[64] == of[65]
    assert np.isin(hashes.keys(same[:3]), hashes.keys(same[2:40])).tolist() == [False, False, True]
