"""The templates of pages, and what stands beside them."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Return templates that escape what they print, and fail on a name that nobody gave."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def text(name: str) -> str:
    """Return a file that is put into pages as it is: style, script."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")
