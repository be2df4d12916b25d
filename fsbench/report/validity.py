"""The page of `fsbench validate`: what metrics respond to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fsbench import validity
from fsbench.report import page, responses
from fsbench.report.page import Section
from fsbench.report.responses import MARKS, Mark
from fsbench.report.tables import ARROWS, duration, number
from fsbench.results import slug
from fsbench.store import write_text
from fsbench.validity import ExaminedRecord, FaultRecord, ResponseRecord, Validation

FILE_NAME = "validation.html"

EXPECTED = {"respond": "Meant to respond to", "either": "May respond to", "ignore": "Meant to ignore"}

_WIDTH, _HEIGHT, _EDGE = 200, 84, 7


@dataclass(frozen=True)
class Curve:
    """A response as the details show it."""

    response: ResponseRecord
    fault: FaultRecord
    anchor: str
    figure: Markup | None
    facts: tuple[str, ...]


def write(folder: Path) -> Path:
    """Write `folder/validation.html` from `validation.json`, atomically, and return its path; raises ResultError."""
    write_text(folder / FILE_NAME, html(validity.load(folder)))
    return folder / FILE_NAME


def html(record: Validation) -> str:
    """Return the page of a validation."""
    environment = page.environment()
    environment.filters.update(duration=duration, decimals=number, slug=slug)
    shared = {
        "record": record,
        "marks": MARKS,
        "networks": [
            *record.judges,
            *record.observers,
            *{one.metric.name: one.metric for one in record.metrics}.values(),
        ],
    }
    return environment.get_template("validation/page.html.j2").render(
        shared,
        sections=page.render(SECTIONS, record, environment, **shared),
        style=page.text("style.css") + page.text("validity.css"),
        counts=_counts(record),
        classes={mark.sign: f"{verdict} middle" for verdict, mark in MARKS.items()},
        weak=responses.WEAK,
        strong=responses.STRONG,
    )


def _counts(record: Validation) -> list[tuple[Mark, int]]:
    """How often each verdict was reached."""
    said = [one.verdict for one in record.responses]
    return [(mark, said.count(verdict)) for verdict, mark in MARKS.items() if verdict in said]


def _matrix(record: Validation) -> dict[str, Any]:
    return {"matrix": responses.matrix(record)}


def _details(record: Validation) -> dict[str, Any]:
    return {
        "groups": responses.by_group(record),
        "arrows": ARROWS,
        "curves": {one.key: curves(record, one) for one in record.metrics},
        "sentences": {one.key: responses.for_metric(record, one.metric.name, one.judge) for one in record.metrics},
        "facts": {one.key: facts(record, one) for one in record.metrics},
    }


def _record_only(record: Validation) -> dict[str, Any]:
    return {}


def curves(record: Validation, one: ExaminedRecord) -> dict[str, list[Curve]]:
    """Draw what a metric does about each fault, on one scale; by what it is expected to do."""
    found, faults = record.of(one.metric.name, one.judge), {fault.name: fault for fault in record.faults}
    scale = _scale(found.values())
    drawn: dict[str, list[Curve]] = {}
    for expected, heading in EXPECTED.items():
        for name, response in found.items():
            if response.expected == expected:
                anchor = responses.anchor(response.metric, response.judge, name)
                figure = _draw(response, one, scale) if response.steps else None
                told = tuple(responses.facts(response, faults[name]))
                drawn.setdefault(heading, []).append(Curve(response, faults[name], anchor, figure, told))
    return drawn


def _scale(responses: Iterable[ResponseRecord]) -> tuple[float, float]:
    """Least and largest value that the curves of a metric show."""
    shown = [value for response in responses for step in response.steps if step.enough_scored
             for value in (step.value, step.low, step.high) if value is not None]  # fmt: skip
    return (min(shown), max(shown)) if shown else (0.0, 1.0)


def _draw(found: ResponseRecord, one: ExaminedRecord, scale: tuple[float, float]) -> Markup:
    """Values over the steps of the ladder, with their intervals; full dots are changes that are more than chance."""
    low, high = scale
    steps = [step for step in found.steps if step.value is not None and step.enough_scored]
    wide = _WIDTH - 2 * _EDGE

    def x(strength: float) -> float:
        place = [step.strength for step in found.steps].index(strength)
        return _EDGE + wide * place / max(len(found.steps) - 1, 1)

    def y(value: float) -> float:
        return _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * ((value - low) / (high - low) if high > low else 0.5)

    def line(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)

    sure = [step for step in steps if step.low is not None and step.high is not None]
    band = [(x(step.strength), y(step.high)) for step in sure if step.high is not None]
    band += [(x(step.strength), y(step.low)) for step in sure[::-1] if step.low is not None]
    middle = [(x(step.strength), y(step.value)) for step in steps if step.value is not None]
    parts = [
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{middle[0][1]:.1f}" y2="{middle[0][1]:.1f}" class="perfect"/>',
        f'<polygon points="{line(band)}" class="band"/>' if band else "",
        f'<polyline points="{line(middle)}" class="line"/>',
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" class="{"full" if step.significant else "open"}"/>'
          for (a, b), step in zip(middle, steps, strict=True)),
    ]  # fmt: skip
    digits = one.metric.digits
    said = ", ".join(f"{step.strength:g}: {number(step.value, digits)}" for step in steps if step.value is not None)
    opening = f'<svg role="img" aria-label="{said}" viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{said}</title>'
    return Markup(opening + "".join(parts) + "</svg>")


def facts(record: Validation, one: ExaminedRecord) -> dict[str, str]:
    """What is known about a metric besides its responses, by heading."""
    digits, unit = one.metric.digits, f" {one.metric.unit}" if one.metric.unit else ""

    def value(found: float | None) -> str:
        return "none" if found is None else number(found, digits)

    bounds = ""
    if one.perfect_low is not None and one.perfect_high is not None:
        bounds = f" [{value(one.perfect_low)}, {value(one.perfect_high)}]"
    said = {
        "measures": ", ".join(one.measures) or "nothing that it says",
        "exact swap": value(one.perfect) + bounds + unit,
        **{name: value(found) + unit + (": at least as good as the exact swap" if name in one.won_by else "")
           for name, found in one.trivial.items()},
        "reliability": "not known" if one.reliability is None else number(one.reliability, 3),
    }  # fmt: skip
    if one.parts:
        of = f" ({one.parts_of})" if one.parts_of else ""
        said["by number of outputs"] = "; ".join(f"{part.n}: {value(part.value)}" for part in one.parts) + of
        if one.bias is not None:
            said["by number of outputs"] += f"; a quarter is off by {number(100 * one.bias, 0)} %"
    if one.metric.estimator_error is not None:
        said["error of the estimator"] = f"{number(one.metric.estimator_error, digits + 1)}{unit}"
    if one.cost is not None:
        shared = f", of which {responses.seconds(one.cost.networks)} in shared networks" if one.cost.networks else ""
        said["1,000 outputs take"] = responses.cost(one) + shared
    low, high = _scale(record.of(one.metric.name, one.judge).values())
    said["the curves' scale"] = f"{value(low)} to {value(high)}{unit}"
    return said


SECTIONS = (
    Section("matrix", "Matrix", _matrix, "validation/matrix.html.j2"),
    Section("reading", "How it was done", _record_only, "validation/reading.html.j2"),
    Section("details", "Metric by metric", _details, "validation/details.html.j2"),
    Section("faults", "Faults", _record_only, "validation/faults.html.j2"),
    Section("provenance", "Provenance", _record_only, "validation/provenance.html.j2"),
)
