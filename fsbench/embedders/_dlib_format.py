"""dlib's serialisation: the few primitives of which its model files are made.

An integer is a control byte (bit 7: sign, bits 0-3: how many bytes follow) and a little-endian magnitude; a float is
two integers, mantissa and binary exponent; the data of a tensor are raw float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from fsbench.errors import WeightsError
from fsbench.weights import check_file

_EXPONENT = 900  # of a mantissa of 64 bits: no float64 is beyond; dlib's NaN is
_MOST_INTEGERS = 32 << 20
"""Bytes of the largest file of integers; each becomes eight in memory. dlib's predictor has nine million."""


class Reader:
    """Reads primitives one after another; raises WeightsError where the file does not hold what is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_file(path)
        self._data = path.read_bytes()
        self._at = 0

    def fail(self) -> NoReturn:
        """Raise the error for a file of another content."""
        raise WeightsError(
            f"{self.path} is damaged, or not the dlib model that it should be (at byte {self._at})",
            "see `fsbench list weights` for the file that is meant",
        )

    def _take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._data):
            self.fail()
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def integer(self) -> int:
        """Read one integer."""
        control = self._take(1)[0]
        if control & 0x70 or control & 0x0F > 8:
            self.fail()
        magnitude = int.from_bytes(self._take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def expect(self, *values: int) -> None:
        """Read integers that have to be these."""
        for value in values:
            if self.integer() != value:
                self.fail()

    def real(self) -> float:
        """Read one float or double; infinities and NaN do not occur in a trained model and are refused."""
        mantissa, exponent = self.integer(), self.integer()
        if abs(exponent) > _EXPONENT:
            self.fail()
        return math.ldexp(mantissa, exponent)

    def flag(self) -> bool:
        """Read one boolean, an ASCII digit."""
        byte = self._take(1)
        if byte not in (b"0", b"1"):
            self.fail()
        return byte == b"1"

    def text(self) -> str:
        """Read one string."""
        return self._take(self.integer()).decode("latin-1")

    def tensor(self) -> np.ndarray:
        """Read a four-dimensional tensor of float32."""
        self.expect(2)
        shape = [self.integer() for _ in range(4)]
        if min(shape) < 0:
            self.fail()
        return np.frombuffer(self._take(4 * math.prod(shape)), "<f4").reshape(shape)

    def alias(self) -> tuple[int, ...]:
        """Read the shape of a view into a tensor that is stored elsewhere."""
        self.expect(1)
        return tuple(self.integer() for _ in range(4))

    def expect_end(self) -> None:
        """Refuse anything that follows."""
        if self._at != len(self._data):
            self.fail()


def _starts(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        yield at
        at += 1 + (data[at] & 0x0F)


def read_integers(path: Path) -> np.ndarray:
    """Read a file that holds nothing but integers, (K,) int64; three times as fast as asking a Reader for each.

    Raises WeightsError where it cannot be that.
    """
    check_file(path, _MOST_INTEGERS)
    data = path.read_bytes()
    start = np.fromiter(_starts(data), np.int64)
    at = int(start[-1]) + 1 + (data[start[-1]] & 0x0F) if len(start) else 0
    raw = np.frombuffer(data + bytes(8), np.uint8)
    control = raw[start]
    n_bytes = control & 0x0F
    if at != len(data) or (control & 0x70).any() or n_bytes.max(initial=0) > 7:
        raise WeightsError(
            f"{path} is damaged, or not the dlib model that it should be",
            "see `fsbench list weights` for the file that is meant",
        )
    magnitude = np.zeros(len(start), np.int64)
    for place in range(n_bytes.max(initial=0)):
        magnitude += np.where(place < n_bytes, raw[start + 1 + place].astype(np.int64) << (8 * place), 0)
    return np.where(control & 0x80, -magnitude, magnitude)
