"""The sections of a run's page.

A section is one file here that defines SECTIONS, its template, and a line in MODULES. `build` gets the run and returns
what the template needs beside `run` and `result`, or None where the section has nothing to show.
"""

from __future__ import annotations

from importlib import import_module

from fsbench.report.page import Section
from fsbench.report.run import RunContents

MODULES = (
    "differences",
    "galleries",
    "identity",
    "groups",
    "clips",
    "frames",
    "recursion",
    "slices",
    "balance",
    "validity",
    "provenance",
    "metrics",
)
"""Files of this folder, in the order of the page."""


def all_sections() -> list[Section[RunContents]]:
    """Return the sections of all modules, in the order of the page."""
    return [section for name in MODULES for section in import_module(f"{__name__}.{name}").SECTIONS]
