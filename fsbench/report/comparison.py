"""One page about several runs: what differs between them, by how much, and on which samples.

A pure function of the runs' folders, free of torch. The first run is what the others are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsbench.comparison.scores import Scores
from fsbench.comparison.table import RunComparison
from fsbench.report import budget, page
from fsbench.report.compared import Compared
from fsbench.report.comparison_sections import SECTIONS
from fsbench.store import write_text


def write(scores: Sequence[Scores], comparison: RunComparison, path: Path) -> Path:
    """Write the page of a comparison, atomically, and return its path; raises ResultError."""
    write_text(path, html(Compared(scores, comparison)))
    return path


def html(compared: Compared) -> str:
    """Return the page."""
    environment = page.environment()
    template = environment.get_template("comparison/page.html.j2")
    content = {
        "compared": compared,
        "comparison": compared.comparison,
        "style": page.text("style.css"),
        "script": page.script(),
    }
    room = budget.PAGE - budget.size(template.render(content, sections=()))
    return template.render(content, sections=page.render(SECTIONS, compared, environment, room, compared=compared))
