"""The numbers of each sample of a finished run, failures counted as its values count them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench import results, run_files
from fsbench.config import BASELINES
from fsbench.errors import NotScorable, ResultError
from fsbench.files import printable
from fsbench.record_types import Sample, Stage
from fsbench.results import Key, MetricRecord, RunResult, Value
from fsbench.stats.failures import count_failures, floor_of
from fsbench.stats.ranking import CONTESTANTS
from fsbench.stats.resampling import Mean, Statistic
from fsbench.stats.summaries import geometric_mean

LABELS: Mapping[Sample, tuple[str, ...]] = {
    "output": ("source", "id", "identity", "session"),
    "clip": ("source", "identity", "session", "clip"),
}
"""Columns that say which sample a row is of."""

FRAMES = ("clip", "frame")
"""Columns of outputs that are frames of clips; others have none."""

DIGESTS = ("target_sha256", "source_sha256")
"""Columns that say what images it was made of; runs of older versions have none."""

FILES: Mapping[Sample, str] = {"output": "samples.parquet", "clip": "clips.parquet"}

Place = tuple[str, str, str | None, Stage]
"""A model, and the `Key` of a value."""

TOGETHER = "its value is of all samples together (distances of distributions are compared where --metric names them)"
"""Why a value has no number of each sample."""


@dataclass(frozen=True)
class Median:
    """The median of rows (N,), times a factor, as a `Statistic`."""

    rows: np.ndarray
    factor: float = 1.0

    def __call__(self, index: np.ndarray) -> float:
        return self.factor * float(np.median(self.rows[index]))


@dataclass(frozen=True)
class GeometricMean:
    """The geometric mean of rows (N,), times a factor, as a `Statistic`."""

    rows: np.ndarray
    factor: float = 1.0

    def __call__(self, index: np.ndarray) -> float:
        with np.errstate(invalid="ignore"):  # there is none of numbers below 0
            return self.factor * geometric_mean(self.rows[index])


SUMMARIES: Mapping[str, tuple[Callable[[np.ndarray, float], Statistic], float]] = {
    "mean": (Mean, 1.0),
    "median": (Median, 1.0),
    "median percentage": (Median, 100.0),
    "percentage": (Mean, 100.0),
    "geometric mean": (GeometricMean, 1.0),
}
"""What a value may be of its rows, the first that gives it; of any other summary only the plug-in knows."""


def summary(name: str, rows: np.ndarray) -> Statistic:
    """What a summary makes of rows (N,), as a function of indices."""
    make, factor = SUMMARIES[name]
    return make(rows, factor)


@dataclass(frozen=True)
class Rows:
    """One metric of one model for each sample."""

    rows: np.ndarray  # (N,), failures as what they count as; NaN where a sample is not in the value
    summaries: frozenset[str]  # those of SUMMARIES that give the value
    failed: bool = False  # whether failures are counted among the rows


@dataclass(frozen=True)
class Scores:
    """What is compared: a finished run, or a baseline that was saved of one."""

    label: str  # as typed, printable
    result: RunResult
    tables: Mapping[Sample, pd.DataFrame]  # LABELS, and FRAMES and DIGESTS where known; the same for all models
    columns: Mapping[Place, Rows | str]  # or why there are none
    digits: int = 0  # significant ones that rows were stored with, 0 for all
    folder: Path | None = None  # None of a baseline
    saved: str = ""  # when a baseline was, ISO 8601

    @cached_property
    def metrics(self) -> dict[str, MetricRecord]:
        """The metrics by name."""
        return {metric.name: metric for metric in self.result.metrics}

    @property
    def contestants(self) -> list[str]:
        """Models that are compared, as opposed to ceilings and baselines."""
        return [model.name for model in self.result.models if model.kind in CONTESTANTS]

    @cached_property
    def keys(self) -> list[Key]:
        """What there are values of, in the order of the result."""
        return list(dict.fromkeys(value.key for value in self.result.values))

    def value(self, model: str, key: Key) -> Value | None:
        """The value of a model, None where the run has none."""
        values = self.result.find(model, key[0])
        return next((value for value in values if value.key == key), None)

    def rows(self, model: str, key: Key) -> Rows:
        """The rows behind a value; raises NotScorable where there are none that could be compared."""
        column = self.columns.get((model, *key), f"{self.label} has no {key[0]} of {model}")
        if isinstance(column, str):
            raise NotScorable(column)
        return column


def load(folder: Path) -> Scores:
    """Read the scores of a finished run; raises ResultError."""
    result, shown = results.load(folder), printable(str(folder))
    hint = "name the --out directory of a run: samples are paired by its samples.parquet"
    if not folder.is_dir():
        raise ResultError(f"{shown} is a result without its samples", hint)
    tables, columns = dict[Sample, pd.DataFrame](), dict[Place, Rows | str]()
    for sample in LABELS:
        if sample == "clip" and not (folder / FILES[sample]).exists():
            continue
        by_model = _by_model(folder / FILES[sample], sample, shown, hint)
        known = [*LABELS[sample], *_frames(by_model, sample), *_digests(by_model)]
        tables[sample] = next(iter(by_model.values()))[known]
        columns |= _columns(result, sample, by_model)
    return Scores(shown, result, tables, columns, folder=folder)


def _by_model(path: Path, sample: Sample, shown: str, hint: str) -> dict[str, pd.DataFrame]:
    """The rows of each model; raises ResultError where models do not have the same samples in the same order."""
    gaps: list[str] = []
    table = run_files.table(path, ("model", *LABELS[sample]), (), gaps)
    if table is None or table.empty:
        raise ResultError(f"{shown}: {gaps[0] if gaps else f'{path.name} has no rows.'}".rstrip("."), hint)
    by_model = {str(name): rows.reset_index(drop=True) for name, rows in table.groupby("model", sort=False)}
    labels = list(LABELS[sample])
    first = next(iter(by_model.values()))[labels]
    if first.duplicated().any():
        raise ResultError(f"{shown}: {path.name} has a sample twice", "the file was edited or damaged; run again")
    for name, rows in by_model.items():
        if not rows[labels].equals(first):
            models = f"{printable(name)} than of {printable(next(iter(by_model)))}"
            raise ResultError(f"{shown}: {path.name} has other samples of {models}", "the file was edited; run again")
    return by_model


def _digests(by_model: Mapping[str, pd.DataFrame]) -> list[str]:
    first = next(iter(by_model.values()))
    return [name for name in DIGESTS if name in first and first[name].map(lambda text: isinstance(text, str)).all()]


def _frames(by_model: Mapping[str, pd.DataFrame], sample: Sample) -> Sequence[str]:
    """Columns that say which frames of which clips all outputs are; none where one is no frame."""
    first = next(iter(by_model.values()))
    if sample == "clip" or not set(FRAMES) <= set(first) or not pd.api.types.is_integer_dtype(first["frame"]):
        return ()
    known = first["clip"].map(lambda name: isinstance(name, str) and name != "")
    return FRAMES if known.all() else ()


def _columns(result: RunResult, sample: Sample, by_model: Mapping[str, pd.DataFrame]) -> dict[Place, Rows | str]:
    """Rows of all values of such samples."""
    metrics = {metric.name: metric for metric in result.metrics if metric.sample == sample}
    kinds = {model.name: model.kind for model in result.models}
    baselines = [table for name, table in by_model.items() if name in BASELINES and kinds.get(name) == "baseline"]
    return {
        (value.model, *value.key): _rows(
            value, metrics[value.metric], by_model, baselines, kinds[value.model] in CONTESTANTS
        )
        for value in result.values
        if value.metric in metrics
    }


def _rows(
    value: Value,
    metric: MetricRecord,
    by_model: Mapping[str, pd.DataFrame],
    baselines: Sequence[pd.DataFrame],
    contestant: bool,
) -> Rows | str:
    """The rows that a value was made of, which give it again; else a sentence that says why there are none."""
    name, table = results.column(*value.key), by_model.get(value.model)
    if value.value is None:
        return value.reason
    if table is None or name not in table:
        return TOGETHER
    own = _numbers(table[name])
    floor = floor_of([_numbers(rows[name]) for rows in baselines if name in rows], metric.direction)
    failed = np.zeros(len(own), bool)
    if contestant and floor is not None and value.n_failed:
        failures = table["failure"] if "failure" in table else pd.Series("", table.index)
        own, failed = count_failures(own, failures.to_numpy(object), floor, metric.direction)
    if summaries := _summaries(own, value):
        return Rows(own, summaries, bool(failed.any()))
    if value.n_failed and int(failed.sum()) != value.n_failed:
        return "failures count as baselines that this run did not keep: run it without --no-baselines"
    return f"{metric.name} is neither a mean nor a median of the numbers of its {metric.sample}s"


def _summaries(rows: np.ndarray, value: Value) -> frozenset[str]:
    """What gives a value of its rows; nothing where they are not as many as it counts."""
    kept = rows[np.isfinite(rows)]
    if value.value is None or not len(kept) or len(kept) != value.n_scored + value.n_failed:
        return frozenset()
    wholes = {name: summary(name, kept)(np.arange(len(kept))) for name in SUMMARIES}
    return frozenset(
        name for name, whole in wholes.items() if math.isclose(whole, value.value, rel_tol=1e-9, abs_tol=1e-12)
    )


def _numbers(column: pd.Series) -> np.ndarray:
    """A column as numbers, NaN for what is none."""
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
