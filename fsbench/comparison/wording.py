"""How a difference between runs is written, wherever it stands: terminal, page, gate."""

from __future__ import annotations

from fsbench.compare import unit_of
from fsbench.comparison.table import RunDifference
from fsbench.numbers import ARROWS, not_zero, number, with_interval
from fsbench.results import MetricRecord, column


def name_of(record: RunDifference, metric: MetricRecord) -> str:
    """Name a metric and its judge, with an arrow to where it is better."""
    return f"{column(*record.key)} {ARROWS[metric.direction]}"


def difference(record: RunDifference, metric: MetricRecord) -> str:
    """Write a difference with its interval; a plus says that it is above 0, which may be better or worse.

    Nothing where there is none.
    """
    if record.effect is None or record.low is None or record.high is None:
        return ""
    return change(record.effect, record.low, record.high, metric)


def change(effect: float, low: float, high: float, metric: MetricRecord) -> str:
    """Write a signed number with its unit and its interval."""
    return with_interval(effect, low, high, metric.digits, unit_of(metric), signed=True)


def signed(value: float, metric: MetricRecord) -> str:
    """Write a number with its sign."""
    text = not_zero(value, metric.digits)
    return f"+{text}" if value > 0 else text


def p_value(p: float | None) -> str:
    """Write a p-value.

    >>> p_value(0.034), p_value(0.00002), p_value(1.0), p_value(None)
    ('0.034', '<0.001', '1', '')
    """
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.2g}"


def remark(record: RunDifference, metric: MetricRecord) -> str:
    """Say what limits a verdict: the margin, what would have been seen, flips, and what was allowed to differ."""
    parts = []
    if record.verdict == "equivalent":
        margin = record.margin or 0.0
        within = f"within ±{not_zero(margin, metric.digits)}"
        parts.append(within if record.low or record.high else "equal on every sample")
    if record.verdict == "inconclusive" and record.detectable:
        parts.append(f"{not_zero(record.detectable, metric.digits)}{unit_of(metric)} would be seen")
    if record.mcnemar_p is not None and record.n_better + record.n_worse:
        parts.append(f"{record.n_better} better, {record.n_worse} worse, McNemar p {p_value(record.mcnemar_p)}")
    alone = {"A": record.n_only_reference, "the other": record.n_only_model}
    parts += [f"{n} samples scored in {run} alone are left out" for run, n in alone.items() if n]
    parts += [record.reason] if record.reason else []
    parts += [f"in spite of {mark}" for mark in record.marks]
    return "; ".join(parts)


def value_of(value: float | None, metric: MetricRecord) -> str:
    """Write a value with its unit, nothing where there is none."""
    return "" if value is None else f"{number(value, metric.digits)}{unit_of(metric)}"


def letter_of(number: int) -> str:
    """Letter by which a table calls a run, from A on."""
    return chr(65 + number) if number < 26 else str(number + 1)


def title(model: str, reference: str, letter: str) -> str:
    """Say what is compared: a model of a run, by the run's letter, with one of the first.

    >>> title("a", "a", "B"), title("a+b", "a", "C")
    ('a: B against A', 'a+b of C against a of A')
    """
    return f"{model}: {letter} against A" if model == reference else f"{model} of {letter} against {reference} of A"
