"""Numbers as people read them."""

from __future__ import annotations

import math

ARROWS = {"higher": "↑", "lower": "↓"}
"""Which direction of a metric is better."""


def number(value: float, digits: int) -> str:
    """Print with a fixed number of decimals and a true minus sign; what rounds to zero has no sign.

    >>> number(-0.5, 2), number(-0.0001, 2)
    ('−0.50', '0.00')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def not_zero(value: float, digits: int) -> str:
    """Print with fixed decimals, or with two significant digits what would look like zero.

    >>> not_zero(0.123, 2), not_zero(-0.000123, 2), not_zero(0.0, 2)
    ('0.12', '−0.00012', '0.00')
    """
    if value and not round(value, digits):
        digits = 1 - math.floor(math.log10(abs(value)))
    return number(value, digits)


def with_interval(value: float, low: float, high: float, digits: int, unit: str = "", *, signed: bool = False) -> str:
    """Print a value and its interval with as many decimals: `digits`, or more where the interval is narrower.

    >>> with_interval(0.0561, 0.0082, 0.103, 3), with_interval(-0.11, -1.85, 1.63, 0, " degrees")
    ('0.056 [0.008, 0.103]', '0 degrees [−2, 2]')
    >>> with_interval(0.5, 0.0004, 0.9, 1, " %", signed=True), with_interval(0.0004, 0.0004, 0.0004, 2, signed=True)
    ('+0.5 % [0.0, 0.9]', '+0.00040 [0.00040, 0.00040]')
    """
    half = (high - low) / 2
    known = 0 < half < math.inf
    if known:
        digits = max(digits, -math.floor(math.log10(half)))
    text, *ends = ((number if known else not_zero)(one, digits) for one in (value, low, high))
    sign = "+" if signed and value > 0 and (not known or round(value, digits)) else ""
    return f"{sign}{text}{unit} [{', '.join(ends)}]"


def duration(seconds: float) -> str:
    """Print a length of time in the unit that suits it.

    >>> duration(0.0042), duration(0.484), duration(0.9999), duration(75), duration(192), duration(7400)
    ('4.2 ms', '484 ms', '1000 ms', '75 s', '3.2 min', '2.1 h')
    """
    if seconds < 1:
        return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
