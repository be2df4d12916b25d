"""Values and intervals of the summary's metrics as figures."""

from __future__ import annotations

from typing import Any

from fsbench.report import plots, tables
from fsbench.report.page import Section
from fsbench.report.run import Run


def build(run: Run) -> dict[str, Any]:
    models = tables.ordered(run)
    figures = [(head, plots.dots(run, head.column, models)) for head in tables.summary(run).heads]
    return {"figures": [(head, figure) for head, figure in figures if figure]}


SECTIONS = (Section("intervals", "Intervals", build, "run/intervals.html.j2"),)
