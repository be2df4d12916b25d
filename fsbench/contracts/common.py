"""What all contracts ask."""

from __future__ import annotations

import inspect

TOLERANCE = 1e-4


def check_docstring(plugin: object) -> None:
    text = inspect.getdoc(type(plugin)) or ""
    assert text.split("\n\n")[0].strip().endswith((".", ";")), (
        "the docstring's first paragraph must be a sentence: tables and reports print it"
    )
