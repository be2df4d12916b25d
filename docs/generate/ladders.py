"""What a metric does about known faults, as a table with a drawing in each row.

Where the validation has the values at each strength, the drawing is the response curve of `fsbench validate`. The
verdicts that come with fsbench are a summary without them: then it is the ladder of strengths, with what the summary
says of each.
"""

from __future__ import annotations

from docs.generate.markdown import relative
from docs.generate.plugins import FAULT_PAGE
from fsbench.report.responses import MARKS
from fsbench.report.validity import Curve, curves
from fsbench.validity import ExaminedRecord, FaultRecord, ResponseRecord, Validation

_WIDTH, _HEIGHT, _EDGE = 150, 22, 8


def responses_table(validation: Validation, entry: ExaminedRecord, page: str) -> str:
    """Return HTML on one line: the responses by what the metric is expected to do."""
    faults_page = relative(FAULT_PAGE, page).removesuffix(".md") + ".html"
    rows = []
    for expected, shown in curves(validation, entry).items():
        rows.append(f'<tr><th colspan="4" class="expected">{expected}</th></tr>')
        rows += [_row(curve, faults_page) for curve in shown]
    return f'<table class="ladders"><tbody>{"".join(rows)}</tbody></table>'


def _row(curve: Curve, faults_page: str) -> str:
    response, mark = curve.response, MARKS[curve.response.verdict]
    drawing = str(curve.figure) if curve.figure else ladder(response, curve.fault)
    told = "; ".join(curve.facts).replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<tr class="{response.verdict}"><th><a href="{faults_page}#{response.fault}">{response.fault}</a></th>'
        f'<td class="verdict">{mark.sign} {mark.title}</td><td>{drawing}</td><td class="told">{told}</td></tr>'
    )


def ladder(response: ResponseRecord, fault: FaultRecord) -> str:
    """Draw the strengths of a fault: 0 at the left, a full dot where the metric notices it.

    The line is thick from where it is noticed to where it no longer grows, and dashed after the strength from which on
    more of the fault is called better. A metric that does not notice has open dots alone.
    """
    if response.verdict == "unexamined":
        return ""
    strengths = (0.0, *fault.strengths)
    place = {strength: _EDGE + (_WIDTH - 2 * _EDGE) * i / (len(strengths) - 1) for i, strength in enumerate(strengths)}
    middle, last = _HEIGHT / 2, strengths[-1]
    parts = [_line(place[0.0], place[last], middle, "thin")]
    noticed = response.detection_threshold
    if noticed is not None:
        peak = response.turning_point if response.turning_point is not None else last
        end = min(response.saturation_threshold or peak, peak)
        before = max((strength for strength in strengths if strength < noticed), default=0.0)
        parts.append(_line(place[before], place[end], middle, "grows"))
        if peak < last:
            parts.append(_line(place[peak], place[last], middle, "turns"))
    for strength in strengths:
        state = "full" if noticed is not None and strength >= noticed else "open"
        parts.append(f'<circle cx="{place[strength]:.1f}" cy="{middle}" r="{3.2 if strength else 2}" class="{state}"/>')
    label = _label(response, fault)
    return (
        f'<svg class="ladder" role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )


def _line(start: float, end: float, y: float, style: str) -> str:
    return f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}" class="{style}"/>'


def _label(response: ResponseRecord, fault: FaultRecord) -> str:
    """The drawing in words."""
    ladder = ", ".join(f"{strength:g}" for strength in fault.strengths)
    noticed = response.detection_threshold
    return f"strengths {ladder} {fault.unit}: " + ("not noticed" if noticed is None else f"noticed from {noticed:g} on")
