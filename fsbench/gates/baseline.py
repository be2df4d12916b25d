"""A baseline: a file that stands for the run it was saved from, with its numbers for each sample.

    {"kind": "fsbench baseline", "schema": 1, "saved": ..., "digest": ..., "result": ..., "tables": ...}

`result` is that of the run with what is kept: contestants and copy_target, by the metrics that were chosen. A table has
one line for each sample: its labels, the digests of its images, and a number for each column, of DIGITS significant
digits; null is a sample that is not in the value. `digest` is over all but itself: an edited file is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError

from fsbench import results
from fsbench.comparison import scores
from fsbench.comparison.paired import significant
from fsbench.comparison.scores import DIGESTS, FRAMES, LABELS, Place, Rows, Scores
from fsbench.comparison.table import chosen_keys
from fsbench.errors import ResultError, UnknownName, UsageError
from fsbench.files import first_problem, printable, read
from fsbench.record_types import Number, Record, Sample, Stage
from fsbench.results import LARGEST_FILE, Key, RankingRecord, column
from fsbench.store import write_text

KIND: Literal["fsbench baseline"] = "fsbench baseline"
SCHEMA = 1
DIGITS = 6
CONTROL = "copy_target"
"""The baseline model that is kept: it does the same in every run, and shows what was measured with other means."""

HINT = "save it again: fsbench baseline save RUN FILE"


class ColumnRecord(Record):
    """Which numbers stand in a column."""

    model: str
    metric: str
    judge: str | None = None
    stage: Stage = "crop"
    summaries: tuple[Literal["mean", "percentage", "median", "median percentage", "geometric mean"], ...]
    failed: bool = False  # whether failures are counted among them


class TableRecord(Record):
    """The numbers of all samples of one kind."""

    labels: tuple[str, ...]
    columns: tuple[ColumnRecord, ...]
    rows: tuple[tuple[str | Number | None, ...], ...]


class BaselineRecord(Record):
    """What stands in the file; `fsbench.results.parse` reads the result."""

    kind: Literal["fsbench baseline"]
    schema_number: int = Field(alias="schema")
    saved: str
    result: dict[str, Any]
    tables: dict[Sample, TableRecord]


@dataclass(frozen=True)
class Saved:
    """What became of a baseline."""

    n_bytes: int
    left_out: dict[str, str]  # chosen metrics without numbers of samples, and why


def save(
    run: Scores, path: Path, *, models: Sequence[str] = (), metrics: Sequence[str] = (), now: datetime | None = None
) -> Saved:
    """Write the baseline of a run, atomically.

    By default it holds all contestants, and the headline metrics and those of the summary. Raises UnknownName for
    models and metrics that the run does not have, UsageError where nothing is left that could be compared.
    """
    for name in models:
        if name not in run.contestants:
            raise UnknownName("model in this run:", name, run.contestants)
    kept = [name for name in run.contestants if name in (models or run.contestants)]
    control = [model.name for model in run.result.models if model.name == CONTROL and model.kind == "baseline"]
    chosen = chosen_keys(run, run, metrics)
    keys = [key for key in chosen if any(_rows(run, name, key) for name in kept)]
    if not keys:
        raise UsageError(f"{run.label} has no numbers of a contestant that could be compared", "name another run")
    tables = {sample: _table(run, sample, [*kept, *control], keys) for sample in run.tables}
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "saved": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "result": _trimmed(run, [*kept, *control], keys),
        "tables": {name: table for name, table in tables.items() if table["columns"]},
    }
    text = _written(content)
    write_text(path, text)
    reasons = {column(*key): run.columns.get((kept[0], *key), "") for key in chosen if key not in keys}
    return Saved(len(text.encode()), {name: str(reason) for name, reason in reasons.items()})


def _rows(run: Scores, model: str, key: Key) -> Rows | None:
    rows = run.columns.get((model, *key))
    return rows if isinstance(rows, Rows) else None


def _trimmed(run: Scores, models: Sequence[str], keys: Sequence[Key]) -> dict[str, Any]:
    """The result with what is kept alone."""
    result, metrics = run.result, {key[0] for key in keys}
    observers = {name for metric in result.metrics if metric.name in metrics for name in metric.observer.split(", ")}
    judges = {key[1] for key in keys}
    kept = result.model_copy(
        update={
            "dataset": result.dataset.model_copy(update={"identities": ()}),
            "judges": tuple(
                record.model_copy(update={"calibration": None}) for record in result.judges if record.name in judges
            ),
            "observers": tuple(record for record in result.observers if record.name in observers),
            "metrics": tuple(record for record in result.metrics if record.name in metrics),
            "models": tuple(record for record in result.models if record.name in models or record.kind == "baseline"),
            "values": tuple(record for record in result.values if record.model in models and record.key in keys),
            "ranking": RankingRecord(metric="", judges=(), left_out={}, ranks=()),
            "differences": (),
            "unused": (),
            "warnings": (),
        }
    )
    return kept.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": results.SCHEMA}


def _table(run: Scores, sample: Sample, models: Sequence[str], keys: Sequence[Key]) -> dict[str, Any]:
    kept = [(name, key, rows) for name in models for key in keys if run.metrics[key[0]].sample == sample
            if (rows := _rows(run, name, key)) is not None]  # fmt: skip
    columns = [
        {"model": name} | {field: fact for field, fact in key._asdict().items() if field != "stage" or fact != "crop"}
        | {"summaries": sorted(rows.summaries), "failed": rows.failed}
        for name, key, rows in kept
    ]  # fmt: skip
    labels = list(run.tables[sample])
    numbers = [[_number(value) for value in significant(rows.rows, DIGITS).tolist()] for _, _, rows in kept]
    texts = run.tables[sample].astype(str).values.tolist()
    return {
        "labels": labels,
        "columns": columns,
        "rows": [[*text, *row] for text, *row in zip(texts, *numbers, strict=True)],
    }


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def _written(content: dict[str, Any]) -> str:
    """Write one line for each column and each sample, so that two baselines are compared by line."""

    def lines(values: list[Any]) -> str:
        return "[\n" + ",\n".join(f"   {_compact(value)}" for value in values) + "\n  ]"

    head = {name: value for name, value in content.items() if name not in ("result", "tables")}
    head["digest"] = _digest(content)
    tables = ",\n".join(
        f' "{sample}": {{\n  "labels": {_compact(table["labels"])},\n  "columns": {lines(table["columns"])},\n'
        f'  "rows": {lines(table["rows"])}\n }}'
        for sample, table in content["tables"].items()
    )
    start = json.dumps(head, indent=1)[:-2]
    return f'{start},\n "result": {json.dumps(content["result"], indent=1)},\n "tables": {{\n{tables}\n}}\n}}\n'


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load(path: Path) -> Scores:
    """Read a baseline; raises ResultError."""
    shown = printable(str(path))
    try:
        raw = json.loads(read(path, LARGEST_FILE), parse_constant=results.refuse_constant)
        json.dumps(raw, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ResultError(f"{shown} cannot be read as a baseline: {reason[:200]}", HINT) from error
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise ResultError(f"{shown} is no baseline of fsbench", HINT)
    number = raw.get("schema")
    if isinstance(number, int) and number > SCHEMA:
        raise ResultError(
            f"{shown} was saved by a newer fsbench (baseline schema {number}, this one reads up to {SCHEMA})",
            "upgrade fsbench to read it",
        )
    content = {name: value for name, value in raw.items() if name != "digest"}
    if raw.get("digest") != _digest(content):
        raise ResultError(f"{shown} was edited: its digest is not that of its content", HINT)
    try:
        record = BaselineRecord.model_validate(content)
    except ValidationError as error:
        raise ResultError(f"{shown} is no valid baseline: {first_problem(error)}", HINT) from error
    return _scores(record, shown)


def _scores(record: BaselineRecord, shown: str) -> Scores:
    result = results.parse(record.result, shown)
    known = {(value.model, *value.key) for value in result.values}
    tables, columns = dict[Sample, pd.DataFrame](), dict[Place, Rows | str]()
    for sample, table in record.tables.items():
        n_labels, width = len(table.labels), len(table.labels) + len(table.columns)
        if not set(LABELS[sample]) <= set(table.labels) <= {*LABELS[sample], *FRAMES, *DIGESTS}:
            raise ResultError(f"{shown} is no valid baseline: its labels are others than those of {sample}s", HINT)
        for row in table.rows:
            texts, numbers = row[:n_labels], row[n_labels:]
            if len(row) != width or not all(isinstance(text, str) for text in texts):
                raise ResultError(f"{shown} is no valid baseline: a row has other columns than there are", HINT)
            if any(isinstance(number, str) for number in numbers):
                raise ResultError(f"{shown} is no valid baseline: a row holds text where a number belongs", HINT)
        frame = pd.DataFrame([row[:n_labels] for row in table.rows], columns=list(table.labels), dtype=object)
        if frame.empty or frame.duplicated(list(LABELS[sample])).any():
            raise ResultError(f"{shown} is no valid baseline: it has no samples, or one twice", HINT)
        tables[sample] = _numbered(frame, shown)
        for i, head in enumerate(table.columns, n_labels):
            key = (head.model, head.metric, head.judge, head.stage)
            if key not in known or key in columns:
                raise ResultError(f"{shown} is no valid baseline: a column has no value, or stands twice", HINT)
            own = np.array([math.nan if row[i] is None else float(row[i] or 0.0) for row in table.rows])
            columns[key] = Rows(own, frozenset(head.summaries), head.failed)
    for value in result.values:
        columns.setdefault((value.model, *value.key), value.reason or "the baseline has no rows of it")
    return Scores(shown, result, tables, columns, digits=DIGITS, saved=record.saved)


def _numbered(frame: pd.DataFrame, shown: str) -> pd.DataFrame:
    """The labels of samples, of which those that are frames of clips have numbers; raises ResultError."""
    if "frame" not in frame:
        return frame
    if "clip" not in frame or not all(text.isdecimal() and len(text) < 16 for text in frame["frame"]):
        raise ResultError(f"{shown} is no valid baseline: a frame of a clip has no number", HINT)
    return frame.astype({"frame": np.int64})


def open_scores(path: Path) -> Scores:
    """Read a run's folder, or a baseline; raises ResultError."""
    return load(path) if path.is_file() and path.name != results.FILE_NAME else scores.load(path)
