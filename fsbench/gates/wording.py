"""How checks are written, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping

from fsbench.compare import unit_of
from fsbench.comparison.wording import change, value_of
from fsbench.gates.decide import Check, GateResult
from fsbench.numbers import not_zero
from fsbench.results import MetricRecord, column

Metrics = Mapping[str, MetricRecord]

OLD = 30
"""Days from which on a baseline is called old."""

WORDS = {"pass": "passes", "regression": "regression", "inconclusive": "cannot say"}


def headline(result: GateResult) -> str:
    """Say in one sentence what the gate says."""
    counts = {state: sum(check.state == state for check in result.checks) for state in WORDS}
    shown = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    return f"gate {WORDS[result.state]}: {shown}"


def age(result: GateResult) -> str:
    """Say how old the baseline is, and what follows."""
    if result.age_days is None:
        return f"the baseline {result.baseline} is of unknown age"
    days = result.age_days
    text = f"{days:.0f} days" if days >= 2 else f"{24 * days:.0f} hours"
    advice = ": save a new one when a change is accepted" if days > OLD else ""
    return f"the baseline {result.baseline} is of {result.baseline_created}, {text} ago{advice}"


def title(check: Check) -> str:
    """Name a check: its rule, the model and that of the baseline, the judge that it was decided under."""
    under = f" under {check.judge}" if check.judge else ""
    other = f" against {check.baseline_model}" if check.baseline_model != check.model else ""
    return f"{check.rule} for {check.model}{other}{under}"


def sentence(check: Check, metrics: Metrics) -> str:
    """Say what a check rests on, with all numbers."""
    metric = metrics[check.metric]
    if check.effect is None or check.low is None or check.high is None:
        return check.reason
    text = (
        f"{column(*check.key)} {value_of(check.value, metric)}, in the baseline "
        f"{value_of(check.baseline_value, metric)}: {change(check.effect, check.low, check.high, metric)} "
        f"over {check.n} samples, margin {not_zero(check.margin or 0.0, metric.digits)}{unit_of(metric)}"
    )
    if check.state == "inconclusive" and not check.reason:
        size = not_zero(check.detectable, metric.digits) + unit_of(metric) if check.detectable else ""
        limit = f"; {size} would be seen" if size else ""
        text += f"; the interval reaches beyond the margin, and the loss is not significantly above it{limit}"
    return f"{text}; {check.reason}" if check.reason else text
