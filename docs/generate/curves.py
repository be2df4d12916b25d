"""What a metric does about known faults, as a table with a curve in each row: the values at each strength.

A curve is drawn where the validation has steps, which summaries have from schema 3 on.
"""

from __future__ import annotations

from docs.generate.markdown import relative
from docs.generate.plugins import FAULT_PAGE
from fsbench.report.responses import MARKS
from fsbench.report.validity import Curve, curves
from fsbench.validity import ExaminedRecord, Validation


def responses_table(validation: Validation, entry: ExaminedRecord, page: str) -> str:
    """Return HTML on one line: the responses by what the metric is expected to do."""
    faults_page = relative(FAULT_PAGE, page).removesuffix(".md") + ".html"
    rows = []
    for expected, shown in curves(validation, entry).items():
        rows.append(f'<tr><th colspan="4" class="expected">{expected}</th></tr>')
        rows += [_row(curve, faults_page) for curve in shown]
    return f'<table class="curves"><tbody>{"".join(rows)}</tbody></table>'


def _row(curve: Curve, faults_page: str) -> str:
    response, mark = curve.response, MARKS[curve.response.verdict]
    told = "; ".join(curve.facts).replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<tr class="{response.verdict}"><th><a href="{faults_page}#{response.fault}">{response.fault}</a></th>'
        f'<td class="verdict">{mark.sign} {mark.title}</td><td>{curve.figure or ""}</td>'
        f'<td class="told">{told}</td></tr>'
    )
