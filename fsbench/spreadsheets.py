"""Texts in files that spreadsheets open."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that Excel computes."""


def no_formula(value: object) -> object:
    """The value, if a text that Excel would compute with an apostrophe before it.

    >>> no_formula("=1+1.png"), no_formula("a=b.png")
    ("'=1+1.png", 'a=b.png')
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
