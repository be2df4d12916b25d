"""A run as an Excel workbook."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from fsbench.atomic import atomic_path
from fsbench.errors import UsageError
from fsbench.exports import tables
from fsbench.results import RunResult

_PLAIN = {"strings_to_formulas": False, "strings_to_urls": False}
"""Names come from outside: a workbook computes none of them, and links to none."""

_LONGEST = 32_767
"""Characters of a cell."""


def write(result: RunResult, path: Path) -> None:
    """Write sheets of the summary, of all values and of all models, atomically.

    Raises UsageError where the package that writes workbooks is not installed, OutputError for a place that cannot be
    written.
    """
    if find_spec("xlsxwriter") is None:
        raise UsageError("xlsxwriter is not installed, which writes workbooks", "pip install xlsxwriter")
    summary = tables.summary(result)
    heads = [text for head in summary.heads for text in (head, "interval")]
    rows = [[name, *(text for cell in cells for text in (cell.text, cell.interval))] for name, cells in summary.rows]
    notes = pd.DataFrame({"note": [*summary.notes, *result.warnings]})
    sheets = {
        "values": tables.values_frame(result.values, result.metrics),
        "models": tables.models(result),
        "notes": notes,
    }
    with (
        atomic_path(path) as partial,
        partial.open("wb") as file,
        pd.ExcelWriter(file, engine="xlsxwriter", engine_kwargs={"options": _PLAIN}) as writer,
    ):
        pd.DataFrame(rows, columns=["model", *heads]).to_excel(
            writer, sheet_name="summary", index=False, freeze_panes=(1, 1)
        )
        for name, table in sheets.items():
            texts = table.select_dtypes(exclude=["number", "bool"]).columns
            short = table.assign(**{column: table[column].map(_short) for column in texts})
            short.to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 1))


def _short(value: object) -> object:
    return value[:_LONGEST] if isinstance(value, str) else value
