"""A table for each group of metrics but identity, which has a section of its own."""

from __future__ import annotations

from functools import partial
from typing import Any

from fsbench.metric_groups import GROUPS, MetricGroup
from fsbench.report import tables
from fsbench.report.page import Section
from fsbench.report.run import RunContents


def build(group: MetricGroup, run: RunContents) -> dict[str, Any] | None:
    if all(metric.group != group for metric in run.result.metrics):
        return None
    return {"group": GROUPS[group], "table": tables.of_group(run, group)}


SECTIONS = tuple(
    Section(group, facts.title, partial(build, group), "run/groups.html.j2")
    for group, facts in GROUPS.items()
    if group != "identity"
)
