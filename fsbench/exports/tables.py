"""What a run found as tables: every value, every model, and models by headline metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from fsbench.compare import Comparisons, winners
from fsbench.numbers import ARROWS, number
from fsbench.results import Key, MetricRecord, RunResult, Value, column, scored_keys
from fsbench.stats.ranking import CONTESTANTS, in_order

COLUMNS = (
    "model", "metric", "judge", "stage", "set", "value", "low", "high", "unit", "direction", "n_scored", "n_total",
    "n_failed", "value_of_scored", "reason", "no_interval", "caution",
)  # fmt: skip
"""Of a table of values."""


@dataclass(frozen=True)
class SummaryCell:
    """A value of a summary as printed; `text` is "" where nothing was scored."""

    text: str = ""
    interval: str = ""
    best: bool = False  # of the contestants


@dataclass(frozen=True)
class SummaryTable:
    """Models by headline metrics, the contestants first, each by rank."""

    heads: tuple[str, ...]  # metric, judge, and which direction is better
    rows: tuple[tuple[str, tuple[SummaryCell, ...]], ...]
    notes: tuple[str, ...]


def values_frame(values: Iterable[Value], metrics: Iterable[MetricRecord]) -> pd.DataFrame:
    """One row per value, `COLUMNS`: NaN and a `reason` for what could not be scored, judge "" for a metric without."""
    facts, rows = {metric.name: metric for metric in metrics}, []
    for value in values:
        of = facts[value.metric]
        own = {"judge": value.judge or "", "unit": of.unit, "direction": of.direction}
        rows.append({**{name: getattr(value, name, None) for name in COLUMNS}, **own})
    numbers = ("value", "low", "high", "value_of_scored")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(numbers, float))


def models(result: RunResult) -> pd.DataFrame:
    """Every model of a run, one a row: what it is, how it came to be, and how it failed."""
    return pd.DataFrame(
        [
            {
                "model": model.name,
                "spec": model.spec,
                "kind": model.kind,
                "training_steps": model.training.steps if model.training else None,
                "training_seconds": model.training.seconds if model.training else None,
                "seconds_per_image": model.swap_seconds,
                "coaches": ", ".join(model.coaches),
                "failures": sum(model.failures.values()),
                "error": model.error,
            }
            for model in result.models
        ]
    )


def summary(result: RunResult, metrics: Sequence[str] = ()) -> SummaryTable:
    """Models by metrics: those named, or those of the summary, as far as there are values.

    `metrics` are METRIC or METRIC@JUDGE.
    """
    facts = {metric.name: metric for metric in result.metrics}
    named = set(metrics)
    keys = [
        key for key in _keys(result) if ({key.metric, column(*key)} & named if named else facts[key.metric].in_summary)
    ]
    values = {(value.model, value.key): value for value in result.values}
    best = _best(result, keys)
    rows = []
    for model in in_order(result):
        cells = [_cell(values.get((model.name, key)), facts[key[0]], best[key] == model.name) for key in keys]
        rows.append((model.name, tuple(cells)))
    heads = tuple(_head(facts[key.metric], key) for key in keys)
    return SummaryTable(heads, tuple(rows), tuple(_notes(result)))


def known_metrics(result: RunResult) -> list[str]:
    """Names that `summary` takes: METRIC and METRIC@JUDGE."""
    keys = _keys(result)
    return list(dict.fromkeys([*(key[0] for key in keys), *(column(*key) for key in keys)]))


def _keys(result: RunResult) -> list[Key]:
    """What anybody has a value of; judges that say nothing of this data are left out."""
    keys = scored_keys(result.values, {metric.name: metric for metric in result.metrics}, result.ranking.metric)
    return [key for key in keys if key.judge not in result.unfit]


def _best(result: RunResult, keys: Sequence[Key]) -> dict[Key, str]:
    """The contestant that is better than every other one, by what; "" where none is."""
    contestants = {model.name for model in result.models if model.kind in CONTESTANTS}
    signs = {metric.name: -1 if metric.direction == "higher" else 1 for metric in result.metrics}
    contests = []
    for key in keys:
        of_key = [value for value in result.values if value.key == key and value.model in contestants]
        reached = {value.model: signs[key.metric] * value.value for value in of_key if value.value is not None}
        contests.append((key, sorted(reached, key=reached.__getitem__)))
    return dict(zip(keys, winners(Comparisons(result), contests), strict=True))


def _cell(value: Value | None, metric: MetricRecord, best: bool) -> SummaryCell:
    if value is None or value.value is None:
        return SummaryCell()
    low, high = value.low, value.high
    interval = "" if low is None or high is None else f"[{number(low, metric.digits)}, {number(high, metric.digits)}]"
    return SummaryCell(number(value.value, metric.digits), interval, best)


def _head(metric: MetricRecord, key: Key) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{column(*key)}{unit} {ARROWS[metric.direction]}"


def _notes(result: RunResult) -> Iterator[str]:
    """What a table needs beside it wherever it is read."""
    about, protocol = result.dataset, result.protocol
    yield f"Data set {about.name}, revision {about.revision[:12]}; {protocol.n_pairs:,} pairs, stage {protocol.stage}."
    yield f"In brackets: intervals of {100 * protocol.confidence:g} %. Bold: better than every other contestant."
    failing = [f"{model.name} on {n}" for model in result.models if (n := sum(model.failures.values()))]
    if failing:
        yield f"Failed: {', '.join(failing)}; a failure counts as the worst of the baselines."
    if n := sum(value.value is None for value in result.values):
        yield f"{n} of {len(result.values)} values could not be scored."
