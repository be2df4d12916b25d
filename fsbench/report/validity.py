"""What metrics respond to: the page of `fsbench validate`, and what a run's report says of each metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fsbench import validity
from fsbench.metric_groups import GROUPS
from fsbench.report import page
from fsbench.report.tables import ARROWS, duration, number
from fsbench.results import slug
from fsbench.store import write_text
from fsbench.validity import ExaminedRecord, FaultRecord, ResponseRecord, Validation, Verdict

FILE_NAME = "validation.html"

EXPECTED = {"respond": "Meant to respond to", "either": "May respond to", "ignore": "Meant to ignore"}
WEAK, STRONG = 2.0, 8.0
"""Sizes of a response, in spreads, at which the colour of a cell changes."""

_WIDTH, _HEIGHT, _EDGE = 200, 84, 7


@dataclass(frozen=True)
class Mark:
    """How a verdict is printed."""

    sign: str
    title: str
    meaning: str
    style: str  # of a terminal


MARKS: dict[Verdict, Mark] = {
    "responds": Mark("✓", "responds", "calls outputs worse as the fault grows, and is meant to, or may", "green"),
    "turns_back": Mark(
        "↶", "turns back", "responds, but from some strength on calls more of the fault better", "yellow"
    ),
    "blind": Mark("○", "blind", "is meant to respond and shows no change that is more than chance", "bold yellow"),
    "ignores": Mark("·", "ignores", "stays where it is, as it is meant to, or may", "dim"),
    "leaks": Mark("!", "leaks", "is not meant to respond, and calls outputs worse all the same", "yellow"),
    "wrong_way": Mark("✗", "wrong way", "calls outputs better as the fault grows", "bold red"),
    "unexamined": Mark("–", "not examined", "has no value here", "dim"),
}


@dataclass(frozen=True)
class Cell:
    """A response as the matrix shows it."""

    verdict: Verdict
    text: str
    depth: str  # weak, middle or strong, by the size of the response; "" where nothing is claimed
    title: str
    anchor: str


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
    return environment.get_template("validity.html.j2").render(
        style=page.text("style.css") + page.text("validity.css"),
        record=record,
        matrix=matrix(record),
        marks=MARKS,
        groups=_grouped(record),
        arrows=ARROWS,
        curves={one.key: curves(record, one) for one in record.metrics},
        sentences={one.key: for_metric(record, one.metric.name, one.judge) for one in record.metrics},
        facts={one.key: facts(record, one) for one in record.metrics},
        networks=[*record.judges, *record.observers, *{one.metric.name: one.metric for one in record.metrics}.values()],
        counts=_counts(record),
        classes={mark.sign: f"{verdict} middle" for verdict, mark in MARKS.items()},
        weak=WEAK,
        strong=STRONG,
    )


def matrix(record: Validation, *, linked: bool = True) -> Markup:
    """Return the table: a row per metric and judge, a column per fault. `linked` cells lead to the page's details."""
    rendered = page.environment().get_template("validity_matrix.html.j2").render(
        columns=[(aspect, list(faults)) for aspect, faults in groupby(columns(record), key=lambda fault: fault.aspect)],
        groups=[(title, [(one, _row(record, one), _cost(one)) for one in rows]) for title, rows in _grouped(record)],
        marks=MARKS,
        arrows=ARROWS,
        linked=linked,
        slug=slug,
        reliability=_reliability,
        won=won(record),
    )  # fmt: skip
    return Markup(rendered)


def won(record: Validation) -> dict[str, list[str]]:
    """Names of the metrics whose value is at least as good for an answer that takes no work, by that answer."""
    copies = dict.fromkeys(copy for one in record.metrics for copy in one.won_by)
    return {copy: list(dict.fromkeys(one.metric.name for one in record.metrics if copy in one.won_by))
            for copy in sorted(copies)}  # fmt: skip


def columns(record: Validation) -> list[FaultRecord]:
    """The faults, those of one aspect together."""
    order = list(dict.fromkeys(fault.aspect for fault in record.faults))
    return sorted(record.faults, key=lambda fault: order.index(fault.aspect))


def _grouped(record: Validation) -> list[tuple[str, list[ExaminedRecord]]]:
    """Metrics by the title of their group."""
    groups = ((facts.title, [one for one in record.metrics if one.metric.group == group])
              for group, facts in GROUPS.items())  # fmt: skip
    return [(title, examined) for title, examined in groups if examined]


def _counts(record: Validation) -> list[tuple[Mark, int]]:
    """How often each verdict was reached."""
    said = [one.verdict for one in record.responses]
    return [(mark, said.count(verdict)) for verdict, mark in MARKS.items() if verdict in said]


def _anchor(metric: str, judge: str | None, fault: str) -> str:
    return slug(f"{metric}.{fault}" + (f".{judge}" if judge else ""))


def _row(record: Validation, one: ExaminedRecord) -> list[Cell]:
    found = record.of(one.metric.name, one.judge)
    return [_cell(found[fault.name], fault) for fault in columns(record)]


def _cell(found: ResponseRecord, fault: FaultRecord) -> Cell:
    verdict, text = cell(found)
    size = abs(found.size) if found.size is not None else STRONG
    depth = "" if verdict in ("ignores", "blind", "unexamined") else (
        "weak" if size < WEAK else "strong" if size >= STRONG else "middle"
    )
    title = f"{found.metric}, {fault.name}: {MARKS[verdict].title}. {'; '.join(_told(found, fault))}"
    return Cell(verdict, text, depth, title, _anchor(found.metric, found.judge, found.fault))


def cell(found: ResponseRecord) -> tuple[Verdict, str]:
    """Return the verdict, and its mark with how much the fault moves the metric.

    In percent of its largest response to what it measures; where that is not known, in spreads, with a multiplication
    sign. What is claimed not to move has no number.
    """
    sign = MARKS[found.verdict].sign
    if found.verdict in ("ignores", "blind", "unexamined"):
        return found.verdict, sign
    if found.share is not None:
        return found.verdict, f"{sign} {number(100 * found.share, 0)}"
    if found.size is not None:
        return found.verdict, f"{sign} ×{number(found.size, 0 if abs(found.size) >= 10 else 1)}"
    return found.verdict, sign


def _told(found: ResponseRecord, fault: FaultRecord) -> list[str]:
    """What the details say of a response."""
    if found.verdict == "unexamined":
        return [found.reason]
    said = []
    if found.rho is not None:
        low, high = found.rho_low, found.rho_high
        said.append(f"ρ {number(found.rho, 2)}" + (
            f" [{number(low, 2)}, {number(high, 2)}]" if low is not None and high is not None else ""))
    said.append(f"noticed from {found.detected:g} {fault.unit}" if found.detected is not None else "not noticed")
    if found.saturated is not None:
        said.append(f"saturated at {found.saturated:g}")
    if found.turned is not None:
        said.append(f"turns back after {found.turned:g}")
    if found.direction and found.size is not None:
        said.append(f"{number(found.size, 1)} spreads")
    if found.direction and found.share is not None:
        said.append(f"{number(100 * found.share, 0)} % of its largest response")
    if lost := [step for step in found.steps if not step.counts]:
        said.append(f"from {lost[0].strength:g} {fault.unit} on too few could be scored")
    return said


def curves(record: Validation, one: ExaminedRecord) -> dict[str, list[Curve]]:
    """Draw what a metric does about each fault, on one scale; by what it is expected to do."""
    found, faults = record.of(one.metric.name, one.judge), {fault.name: fault for fault in record.faults}
    scale = _scale(found.values())
    drawn: dict[str, list[Curve]] = {}
    for expected, heading in EXPECTED.items():
        for name, response in found.items():
            if response.expected == expected:
                anchor = _anchor(response.metric, response.judge, name)
                figure = _draw(response, one, scale) if response.steps else None
                told = tuple(_told(response, faults[name]))
                drawn.setdefault(heading, []).append(Curve(response, faults[name], anchor, figure, told))
    return drawn


def _scale(responses: Iterable[ResponseRecord]) -> tuple[float, float]:
    """Least and largest value that the curves of a metric show."""
    shown = [value for response in responses for step in response.steps if step.counts
             for value in (step.value, step.low, step.high) if value is not None]  # fmt: skip
    return (min(shown), max(shown)) if shown else (0.0, 1.0)


def _draw(found: ResponseRecord, one: ExaminedRecord, scale: tuple[float, float]) -> Markup:
    """Values over the steps of the ladder, with their intervals; full dots are changes that are more than chance."""
    low, high = scale
    steps = [step for step in found.steps if step.value is not None and step.counts]
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
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" class="{"full" if step.noticed else "open"}"/>'
          for (a, b), step in zip(middle, steps, strict=True)),
    ]  # fmt: skip
    digits = one.metric.digits
    said = ", ".join(f"{step.strength:g}: {number(step.value, digits)}" for step in steps if step.value is not None)
    opening = f'<svg role="img" aria-label="{said}" viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{said}</title>'
    return Markup(opening + "".join(parts) + "</svg>")


def _reliability(one: ExaminedRecord) -> str:
    return "" if one.reliability is None else number(one.reliability, 2)


def _cost(one: ExaminedRecord) -> str:
    return "" if one.cost is None else _seconds(one.cost.networks + one.cost.metric)


def _seconds(amount: float) -> str:
    """Two digits are what a machine that does other things as well allows.

    >>> _seconds(0.0123), _seconds(45.6), _seconds(345.6)
    ('0.012 s', '46 s', '346 s')
    """
    return f"{amount:.2g} s" if amount < 100 else f"{amount:.0f} s"


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
        shared = f", of which {_seconds(one.cost.networks)} in shared networks" if one.cost.networks else ""
        said["1,000 outputs take"] = _cost(one) + shared
    low, high = _scale(record.of(one.metric.name, one.judge).values())
    said["the curves' scale"] = f"{value(low)} to {value(high)}{unit}"
    return said


def for_metric(record: Validation, name: str, judge: str | None = None) -> list[str]:
    """Say in sentences what a validation found about a metric; under another judge where this one was not there.

    Nothing for a metric that it does not know.
    """
    known = [one for one in record.metrics if one.metric.name == name]
    one = next((one for one in known if one.judge == judge), known[0] if known else None)
    if one is None:
        return [f"Not examined: {missing.reason}." for missing in record.unexamined if missing.metric == name][:1]
    found = record.of(name, one.judge)
    units = {fault.name: fault.unit for fault in record.faults}

    def those(verdict: Verdict) -> list[ResponseRecord]:
        return [response for response in found.values() if response.verdict == verdict]

    said = []
    for verdict, text, more in _PHRASES:
        if some := those(verdict):
            names = [response.fault + more(response, units[response.fault]) for response in some]
            said.append(f"{text} {_join(names)}.")
    if one.won_by:
        said.append(f"No better for the exact swap than for {_join(one.won_by)}.")
    if one.bias is not None:
        few, all_of_them = one.parts[0].n, one.parts[-1].n
        way = "larger" if one.bias > 0 else "smaller"
        said.append(f"From {few} outputs its value is {100 * abs(one.bias):.0f} % {way} than from {all_of_them}.")
    return said


def _from(response: ResponseRecord, unit: str) -> str:
    at = "" if response.detected is None else f", from {response.detected:g} {unit}"
    return "" if response.rho is None else f" (ρ {number(response.rho, 2)}{at})"


def _share(response: ResponseRecord, unit: str) -> str:
    return "" if response.share is None else f" ({number(100 * abs(response.share), 0)} % of its largest response)"


def _turn(response: ResponseRecord, unit: str) -> str:
    return "" if response.turned is None else f" (after {response.turned:g} {unit})"


def _nothing(response: ResponseRecord, unit: str) -> str:
    return ""


_PHRASES: tuple[tuple[Verdict, str, Any], ...] = (
    ("responds", "Responds to", _from),
    ("turns_back", "Responds, but then turns back, to", _turn),
    ("blind", "Does not respond, though it should, to", _nothing),
    ("wrong_way", "Calls outputs better with more", _share),
    ("leaks", "Is moved, though it should not be, by", _share),
    ("ignores", "Ignores", _nothing),
)


def _join(names: Sequence[str]) -> str:
    """Write a list.

    >>> _join(["a"]), _join(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
