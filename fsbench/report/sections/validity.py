"""What the metrics of this version respond to."""

from __future__ import annotations

from typing import Any

from fsbench import validity
from fsbench.report.page import Section
from fsbench.report.responses import MARKS, matrix
from fsbench.report.run import RunContents


def build(run: RunContents) -> dict[str, Any] | None:
    validation = validity.shipped()
    if validation is None:
        return None
    return {"validation": validation, "matrix": matrix(validation, linked=False), "marks": MARKS}


SECTIONS = (Section("validity", "Validity", build, "run/validity.html.j2"),)
