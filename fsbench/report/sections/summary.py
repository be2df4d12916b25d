"""The table that a reader sees first."""

from __future__ import annotations

from typing import Any

from fsbench.report.page import Section
from fsbench.report.run import Run
from fsbench.report.tables import summary


def build(run: Run) -> dict[str, Any]:
    return {"table": summary(run)}


SECTIONS = (Section("summary", "Summary", build, "run/summary.html.j2"),)
