"""Facts that a written page takes from the code, and files that it shows: `{{ fsbench.compare.ALPHA }}`."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FACT = re.compile(r"\{\{ ([\w./-]+) \}\}")


def filled(text: str) -> str:
    """Return a page with its facts; raises AttributeError, ImportError or OSError for one that is not there.

    >>> filled("by chance in {{ fsbench.compare.ALPHA }}")
    'by chance in 0.05'
    """
    return _FACT.sub(lambda match: _fact(match[1]), text)


def _fact(name: str) -> str:
    if (ROOT / name).is_file():
        text = (ROOT / name).read_text(encoding="utf-8").rstrip()
        return text.partition("\n")[2] if name.endswith(".md") else text  # the page has a title of its own
    module, _, constant = name.rpartition(".")
    return str(getattr(importlib.import_module(module), constant))
