"""Paired differences between the contestants, by the metrics of the summary."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from fsbench.compare import PairedComparison, detectable, size_of
from fsbench.report.page import Section
from fsbench.report.run import Column, RunContents
from fsbench.report.tables import ordered, summary

MOST_MODELS = 6
"""Contestants whose differences are shown, the best ones of more: result.json has all."""


@dataclass(frozen=True)
class DifferenceCell:
    """What is said of two models under one metric."""

    relation: str
    text: str  # by how much they differ, "" where that is not known
    detail: str  # its interval, or why it is not known
    certainty: str = ""


def build(run: RunContents) -> dict[str, Any] | None:
    models = [model.name for model in ordered(run) if model in run.contestants]
    pairs = list(combinations(models[:MOST_MODELS], 2))
    columns = [head.column for head in summary(run).heads]
    if not pairs or not columns or not run.knows_differences:
        return None
    compared = iter(run.compare((model, other, column) for model, other in pairs for column in columns))
    rows = [(model, other, [_cell(next(compared), column) for column in columns]) for model, other in pairs]
    return {"columns": columns, "rows": rows, "n_left_out": len(models) - len(models[:MOST_MODELS])}


def _cell(comparison: PairedComparison, column: Column) -> DifferenceCell:
    record = comparison.difference
    if record is None or record.effect is None:
        return DifferenceCell("unknown", "", comparison.reason or "not scored")
    text, _, interval = size_of(comparison, column.metric).partition(" [")
    seen = f", sees {least}" if (least := detectable(comparison, column.metric)) else ""
    unclear = comparison.relation not in ("better", "worse")
    return DifferenceCell(
        comparison.relation, text, f"[{interval}", f"p\N{NO-BREAK SPACE}{_p(comparison.p)}{seen if unclear else ''}"
    )


def _p(p: float | None) -> str:
    """Print a corrected p-value.

    >>> _p(0.0312), _p(0.00001), _p(1.0), _p(None)
    ('0.031', '< 0.001', '1', 'unknown')
    """
    if p is None:
        return "unknown"
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


SECTIONS = (Section("differences", "Differences", build, "run/differences.html.j2"),)
