"""The page of `fsbench validate`: what metrics respond to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fsbench import validity
from fsbench.numbers import ARROWS, duration, number
from fsbench.report import page, responses
from fsbench.report.page import Section
from fsbench.report.responses import MARKS, Mark
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
    shared: dict[str, Any] = {
        "record": record,
        "marks": MARKS,
        "networks": [
            *record.judges,
            *record.observers,
            *{entry.metric.name: entry.metric for entry in record.metrics}.values(),
        ],
    }
    return environment.get_template("validation/page.html.j2").render(
        shared,
        sections=page.render(SECTIONS, record, environment, **shared),
        style=page.text("style.css") + page.text("validity.css"),
        script=page.script(),
        counts=_counts(record),
        classes={mark.sign: f"{verdict} middle" for verdict, mark in MARKS.items()},
        weak=responses.WEAK,
        strong=responses.STRONG,
    )


def _counts(record: Validation) -> list[tuple[Mark, int]]:
    """How often each verdict was reached."""
    verdicts = [response.verdict for response in record.responses]
    return [(mark, verdicts.count(verdict)) for verdict, mark in MARKS.items() if verdict in verdicts]


def _matrix(record: Validation) -> dict[str, Any]:
    return {"matrix": responses.matrix(record)}


def _details(record: Validation) -> dict[str, Any]:
    return {
        "groups": responses.by_group(record),
        "arrows": ARROWS,
        "curves": {entry.key: curves(record, entry) for entry in record.metrics},
        "sentences": {
            entry.key: responses.for_metric(record, entry.metric.name, entry.judge) for entry in record.metrics
        },
        "facts": {entry.key: facts(record, entry) for entry in record.metrics},
    }


def _record_only(record: Validation) -> dict[str, Any]:
    return {}


def curves(record: Validation, entry: ExaminedRecord) -> dict[str, list[Curve]]:
    """Draw what a metric does about each fault, on one scale; by what it is expected to do."""
    by_fault, faults = record.of(entry.metric.name, entry.judge), {fault.name: fault for fault in record.faults}
    scale = _scale(by_fault.values())
    drawn: dict[str, list[Curve]] = {}
    for expected, heading in EXPECTED.items():
        for name, response in by_fault.items():
            if response.expected == expected:
                anchor = responses.anchor(response.metric, response.judge, name)
                figure = _draw(response, entry, scale) if response.steps else None
                parts = tuple(responses.facts(response, faults[name]))
                drawn.setdefault(heading, []).append(Curve(response, faults[name], anchor, figure, parts))
    return drawn


def _scale(responses: Iterable[ResponseRecord]) -> tuple[float, float]:
    """Least and largest value that the curves of a metric show."""
    shown = [value for response in responses for step in response.steps if step.enough_scored
             for value in (step.value, step.low, step.high) if value is not None]  # fmt: skip
    return (min(shown), max(shown)) if shown else (0.0, 1.0)


def _draw(response: ResponseRecord, entry: ExaminedRecord, scale: tuple[float, float]) -> Markup:
    """Values over the steps of the ladder, with their intervals; full dots are changes that are more than chance."""
    low, high = scale
    steps = [step for step in response.steps if step.value is not None and step.enough_scored]
    wide = _WIDTH - 2 * _EDGE

    def x(strength: float) -> float:
        place = [step.strength for step in response.steps].index(strength)
        return _EDGE + wide * place / max(len(response.steps) - 1, 1)

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
    digits = entry.metric.digits
    label = ", ".join(f"{step.strength:g}: {number(step.value, digits)}" for step in steps if step.value is not None)
    opening = f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{label}</title>'
    return Markup(opening + "".join(parts) + "</svg>")


def facts(record: Validation, entry: ExaminedRecord) -> dict[str, str]:
    """What is known about a metric besides its responses, by heading."""
    digits, unit = entry.metric.digits, f" {entry.metric.unit}" if entry.metric.unit else ""

    def value(amount: float | None) -> str:
        return "none" if amount is None else number(amount, digits)

    bounds = ""
    if entry.perfect_low is not None and entry.perfect_high is not None:
        bounds = f" [{value(entry.perfect_low)}, {value(entry.perfect_high)}]"
    by_heading = {
        "measures": ", ".join(entry.measures) or "nothing that it says",
        "exact swap": value(entry.perfect) + bounds + unit,
        **{name: value(amount) + unit + (": at least as good as the exact swap" if name in entry.won_by else "")
           for name, amount in entry.trivial.items()},
        "reliability": "not known" if entry.reliability is None else number(entry.reliability, 3),
    }  # fmt: skip
    if entry.parts:
        of = f" ({entry.parts_of})" if entry.parts_of else ""
        by_heading["by number of outputs"] = "; ".join(f"{part.n}: {value(part.value)}" for part in entry.parts) + of
        if entry.bias is not None:
            by_heading["by number of outputs"] += f"; a quarter is off by {number(100 * entry.bias, 0)} %"
    if entry.metric.estimator_error is not None:
        by_heading["error of the estimator"] = f"{number(entry.metric.estimator_error, digits + 1)}{unit}"
    if entry.cost is not None:
        networks = entry.cost.networks
        shared = f", of which {responses.seconds(networks)} in shared networks" if networks else ""
        by_heading["1,000 outputs take"] = responses.cost(entry) + shared
    drawn = record.of(entry.metric.name, entry.judge).values()
    if any(response.steps for response in drawn):
        low, high = _scale(drawn)
        by_heading["the curves' scale"] = f"{value(low)} to {value(high)}{unit}"
    return by_heading


SECTIONS = (
    Section("matrix", "Matrix", _matrix, "validation/matrix.html.j2"),
    Section("reading", "How it was done", _record_only, "validation/reading.html.j2"),
    Section("details", "Metric by metric", _details, "validation/details.html.j2"),
    Section("faults", "Faults", _record_only, "validation/faults.html.j2"),
    Section("provenance", "Provenance", _record_only, "validation/provenance.html.j2"),
)
