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
