"""A gate as Markdown, for a comment and for a job's summary."""

from __future__ import annotations

from fsbench.compare import unit_of
from fsbench.comparison.wording import change, value_of
from fsbench.gates.decide import Check, GateResult
from fsbench.gates.wording import Metrics, age, headline, sentence, title
from fsbench.markdown import code, plain
from fsbench.numbers import not_zero
from fsbench.results import column

MOST = 60_000
"""Characters: a comment on GitHub has 65,536, and a summary a mebibyte."""

SIGNS = {"pass": "✅", "regression": "❌", "inconclusive": "❔"}


def markdown(result: GateResult, metrics: Metrics) -> str:
    """Return the text: what the gate says, a table of checks, the worst first, and what they rest on."""
    order = {"regression": 0, "inconclusive": 1, "pass": 2}
    tiers = {"critical": 0, "supporting": 1, "advisory": 2}
    checks = sorted(result.checks, key=lambda check: (order[check.state], tiers[check.tier]))
    head = [
        f"### {SIGNS[result.state]} fsbench: {headline(result)}",
        "",
        f"{code(result.run)} against {code(result.baseline)}: {plain(age(result))}.",
        "",
        "| | tier | metric | model | baseline | run | difference | margin |",
        "|---|---|---|---|---|---|---|---|",
    ]
    missed = [check for check in checks if check.state != "pass"]
    details = [f"- {code(title(check))}: {plain(sentence(check, metrics))}" for check in missed]
    notes = [f"- {plain(note)}" for note in result.notes]
    parts = [_row(check, metrics) for check in checks]
    lines, left_out = _within(head, parts, ["", *details, *notes])
    return "\n".join([*lines, *([f"\n{left_out} more lines are left out."] if left_out else [])]) + "\n"


def _within(head: list[str], rows: list[str], more: list[str]) -> tuple[list[str], int]:
    """As many lines as there is room for, and the number of those that are left out."""
    lines, room = list(head), MOST - sum(len(line) + 1 for line in head)
    everything = [*rows, *more]
    for i, line in enumerate(everything):
        room -= len(line) + 1
        if room < 0:
            return lines, len(everything) - i
        lines.append(line)
    return lines, 0


def _row(check: Check, metrics: Metrics) -> str:
    metric = metrics[check.metric]
    difference = margin = ""
    if check.effect is not None and check.low is not None and check.high is not None:
        difference = change(check.effect, check.low, check.high, metric)
        margin = f"{not_zero(check.margin or 0.0, metric.digits)}{unit_of(metric)}"
    cells = [
        SIGNS[check.state],
        check.tier,
        code(column(*check.key)),
        code(check.model),
        plain(value_of(check.baseline_value, metric)),
        plain(value_of(check.value, metric)),
        plain(difference),
        plain(margin),
    ]
    return f"| {' | '.join(cells)} |"
