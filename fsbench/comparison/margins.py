"""How large a difference may be that does not matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsbench.errors import UsageError


@dataclass(frozen=True)
class Margin:
    """A size in the unit of a metric, or a share of the value that is compared with."""

    number: float  # of a relative margin in percent
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> Margin:
        """Read `0.01` or `2%`; raises UsageError.

        >>> Margin.parse("0.01").size(0.5), Margin.parse("2%").size(-0.5), str(Margin.parse(" 2 % "))
        (0.01, 0.01, '2%')
        """
        digits = text.strip().removesuffix("%").strip()
        try:
            number = float(digits) if digits.isascii() and "_" not in digits else math.nan
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1e15:
            raise UsageError(
                f"{text.strip()[:40]!r} is no margin",
                "write a number of 0 or more, such as 0.01, or a share, such as 2%",
            )
        return cls(number, text.strip().endswith("%"))

    def size(self, value: float) -> float:
        """The size in the metric's unit, where `value` is compared with."""
        return abs(value) * self.number / 100 if self.relative else self.number

    def __str__(self) -> str:
        return f"{self.number:g}{'%' if self.relative else ''}"
