"""A card for each metric: meaning, source, what it was found to respond to, and in which ways it misleads."""

from __future__ import annotations

from typing import Any

from fsbench import validity
from fsbench.report.page import Section
from fsbench.report.responses import findings
from fsbench.report.run import RunContents


def build(run: RunContents) -> dict[str, Any]:
    validation = validity.shipped()
    names = [metric.name for metric in run.result.metrics]
    return {"findings": {name: findings(validation, name) if validation else [] for name in names}}


SECTIONS = (Section("metrics", "Metrics", build, "run/metrics.html.j2"),)
