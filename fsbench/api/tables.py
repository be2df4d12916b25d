"""Values as a table that a notebook shows."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from fsbench.files import printable
from fsbench.numbers import ARROWS, not_zero
from fsbench.results import Key, MetricRecord, Value, column, scored_keys

MOST_COLUMNS = 8
"""Metrics, by judge, that a notebook is shown; all of them are in the data frame."""


def summary(values: Iterable[Value], metrics: Mapping[str, MetricRecord], judges: Sequence[str]) -> pd.DataFrame:
    """Models by the metrics that stand first in a report, under some judges; each cell a text: value and interval."""
    values = list(values)
    keys = [key for key in scored_keys(values, metrics) if key.judge is None or key.judge in judges]
    cells = {(value.model, *value.key): value for value in values}
    models = list(dict.fromkeys(value.model for value in values))
    table = {
        _heading(key, metrics[key.metric]): [_cell(cells.get((model, *key)), metrics[key.metric]) for model in models]
        for key in keys[:MOST_COLUMNS]
    }
    return pd.DataFrame(table, index=pd.Index(models, dtype=object))


def page(title: str, table: pd.DataFrame, notes: Sequence[str] = (), warnings: Sequence[str] = ()) -> str:
    """A piece of HTML for a notebook; all text in it is escaped."""
    shown = table.map(html.escape) if len(table) else table
    shown = shown.set_axis([html.escape(printable(str(name))) for name in table.index], axis=0)
    shown = shown.set_axis([html.escape(str(name)) for name in table.columns], axis=1)
    lines = [f"<p>{html.escape(printable(note))}</p>" for note in notes if note]
    if warnings:
        items = "".join(f"<li>{html.escape(printable(warning))}</li>" for warning in warnings)
        count = f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}"
        lines.append(f"<details><summary>{count}</summary><ul>{items}</ul></details>")
    body = shown.to_html(escape=False, border=0) if table.size else "<p>nothing was scored</p>"
    return f"<div><p><b>{html.escape(printable(title))}</b></p>{body}{''.join(lines)}</div>"


def _heading(key: Key, facts: MetricRecord) -> str:
    return f"{column(*key)} {ARROWS[facts.direction]}{f' {facts.unit}' if facts.unit else ''}"


def _cell(value: Value | None, facts: MetricRecord) -> str:
    if value is None:
        return ""
    if value.value is None:
        return "not scored"
    text = not_zero(value.value, facts.digits)
    if value.low is None or value.high is None:
        return text
    return f"{text} [{not_zero(value.low, facts.digits)}, {not_zero(value.high, facts.digits)}]"
