"""How pages print responses to faults: marks, the table of metrics and faults, and sentences about a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from fsbench.metric_groups import GROUPS
from fsbench.numbers import ARROWS, number
from fsbench.report import page
from fsbench.results import slug
from fsbench.validity import ExaminedRecord, FaultRecord, ResponseRecord, Validation, Verdict

WEAK, STRONG = 2.0, 8.0
"""Sizes of a response, in spreads, at which the colour of a cell changes."""


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
class MatrixCell:
    """A response as the matrix shows it."""

    verdict: Verdict
    text: str
    depth: str  # weak, middle or strong, by the size of the response; "" where nothing is claimed
    title: str
    anchor: str


def matrix(record: Validation, *, linked: bool = True) -> Markup:
    """Return the table: a row per metric and judge, a column per fault. `linked` cells lead to the page's details."""
    rendered = page.environment().get_template("validation/table.html.j2").render(
        columns=[(aspect, list(faults)) for aspect, faults in groupby(columns(record), key=lambda fault: fault.aspect)],
        groups=[(title, [(entry, _row(record, entry), cost(entry)) for entry in entries])
                for title, entries in by_group(record)],
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
    copies = dict.fromkeys(copy for entry in record.metrics for copy in entry.won_by)
    return {copy: list(dict.fromkeys(entry.metric.name for entry in record.metrics if copy in entry.won_by))
            for copy in sorted(copies)}  # fmt: skip


def columns(record: Validation) -> list[FaultRecord]:
    """The faults, those of one aspect together."""
    order = list(dict.fromkeys(fault.aspect for fault in record.faults))
    return sorted(record.faults, key=lambda fault: order.index(fault.aspect))


def by_group(record: Validation) -> list[tuple[str, list[ExaminedRecord]]]:
    """Metrics by the title of their group."""
    groups = ((facts.title, [entry for entry in record.metrics if entry.metric.group == group])
              for group, facts in GROUPS.items())  # fmt: skip
    return [(title, examined) for title, examined in groups if examined]


def anchor(metric: str, judge: str | None, fault: str) -> str:
    """Return the id of a response on the page."""
    return slug(f"{metric}.{fault}" + (f".{judge}" if judge else ""))


def _row(record: Validation, entry: ExaminedRecord) -> list[MatrixCell]:
    by_fault = record.of(entry.metric.name, entry.judge)
    return [_cell(by_fault[fault.name], fault) for fault in columns(record)]


def _cell(response: ResponseRecord, fault: FaultRecord) -> MatrixCell:
    verdict, text = cell(response)
    size = abs(response.effect_size) if response.effect_size is not None else STRONG
    depth = (
        ""
        if verdict in ("ignores", "blind", "unexamined")
        else ("weak" if size < WEAK else "strong" if size >= STRONG else "middle")
    )
    title = f"{response.metric}, {fault.name}: {MARKS[verdict].title}. {'; '.join(facts(response, fault))}"
    return MatrixCell(verdict, text, depth, title, anchor(response.metric, response.judge, response.fault))


def cell(response: ResponseRecord) -> tuple[Verdict, str]:
    """Return the verdict, and its mark with how much the fault moves the metric.

    In percent of its largest response to what it measures; where that is not known, in spreads, with a multiplication
    sign. What is claimed not to move has no number.
    """
    sign = MARKS[response.verdict].sign
    if response.verdict in ("ignores", "blind", "unexamined"):
        return response.verdict, sign
    if response.share is not None:
        return response.verdict, f"{sign} {number(100 * response.share, 0)}"
    if response.effect_size is not None:
        return response.verdict, f"{sign} ×{number(response.effect_size, 0 if abs(response.effect_size) >= 10 else 1)}"
    return response.verdict, sign


def facts(response: ResponseRecord, fault: FaultRecord) -> list[str]:
    """Print the facts about a response, one part each."""
    if response.verdict == "unexamined":
        return [response.reason]
    parts = []
    if response.rho is not None:
        low, high = response.rho_low, response.rho_high
        parts.append(
            f"ρ {number(response.rho, 2)}"
            + (f" [{number(low, 2)}, {number(high, 2)}]" if low is not None and high is not None else "")
        )
    threshold = response.detection_threshold
    parts.append("not noticed" if threshold is None else f"noticed from {threshold:g} {fault.unit}")
    if response.saturation_threshold is not None:
        parts.append(f"saturated at {response.saturation_threshold:g}")
    if response.turning_point is not None:
        parts.append(f"turns back after {response.turning_point:g}")
    if response.direction and response.effect_size is not None:
        parts.append(f"{number(response.effect_size, 1)} spreads")
    if response.direction and response.share is not None:
        parts.append(f"{number(100 * response.share, 0)} % of its largest response")
    if lost := [step for step in response.steps if not step.enough_scored]:
        parts.append(f"from {lost[0].strength:g} {fault.unit} on too few could be scored")
    return parts


def _reliability(entry: ExaminedRecord) -> str:
    return "" if entry.reliability is None else number(entry.reliability, 2)


def cost(entry: ExaminedRecord) -> str:
    """Print the time that 1,000 outputs take, networks included; "" where it is not known."""
    return "" if entry.cost is None else seconds(entry.cost.networks + entry.cost.metric)


def seconds(amount: float) -> str:
    """Print a length of time with two digits: a machine that does other things as well allows no more.

    >>> seconds(0.0123), seconds(45.6), seconds(345.6)
    ('0.012 s', '46 s', '346 s')
    """
    return f"{amount:.2g} s" if amount < 100 else f"{amount:.0f} s"


@dataclass(frozen=True)
class Finding:
    """What a validation found about a metric, in a sentence."""

    sentence: str
    is_trap: bool  # its values can mislead in this way


def for_metric(record: Validation, name: str, judge: str | None = None) -> list[str]:
    """Say in sentences what a validation found about a metric; under another judge where this one was not there.

    Nothing for a metric that it does not know.
    """
    return [finding.sentence for finding in findings(record, name, judge)]


def findings(record: Validation, name: str, judge: str | None = None) -> list[Finding]:
    """The same, with what of it is a trap."""
    known = [entry for entry in record.metrics if entry.metric.name == name]
    entry = next((entry for entry in known if entry.judge == judge), known[0] if known else None)
    if entry is None:
        missing = [missing.reason for missing in record.unexamined if missing.metric == name][:1]
        return [Finding(f"Not examined: {reason}.", False) for reason in missing]
    by_fault = record.of(name, entry.judge)
    units = {fault.name: fault.unit for fault in record.faults}

    found = []
    for verdict, text, more in _PHRASES:
        names = [response.fault + more(response, units[response.fault])
                 for response in by_fault.values() if response.verdict == verdict]  # fmt: skip
        if names:
            found.append(Finding(f"{text} {_join(names)}.", verdict not in ("responds", "ignores")))
    if entry.won_by:
        found.append(Finding(f"No better for the exact swap than for {_join(entry.won_by)}.", True))
    if entry.bias is not None:
        few, total = entry.parts[0].n, entry.parts[-1].n
        way = "larger" if entry.bias > 0 else "smaller"
        found.append(
            Finding(f"From {few} outputs its value is {100 * abs(entry.bias):.0f} % {way} than from {total}.", True)
        )
    return found


def _from(response: ResponseRecord, unit: str) -> str:
    at = "" if response.detection_threshold is None else f", from {response.detection_threshold:g} {unit}"
    return "" if response.rho is None else f" (ρ {number(response.rho, 2)}{at})"


def _share(response: ResponseRecord, unit: str) -> str:
    return "" if response.share is None else f" ({number(100 * abs(response.share), 0)} % of its largest response)"


def _turn(response: ResponseRecord, unit: str) -> str:
    return "" if response.turning_point is None else f" (after {response.turning_point:g} {unit})"


def _nothing(response: ResponseRecord, unit: str) -> str:
    return ""


_PHRASES: tuple[tuple[Verdict, str, Callable[[ResponseRecord, str], str]], ...] = (
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
