"""What `fsbench validate` leaves behind: how every metric responds to every known fault.

    DIR/validation.json      Validation: every response with its curve, what is known about each metric, provenance
    DIR/validation.html      the page about it

A summary is the same file with one entry a line: responses have five digits, and of a step only what a curve draws, as
a list. `fsbench validate --update` puts the entries of some metrics into a file that is there, and leaves all others as
they are. A metric without an entry is not examined yet. The number SCHEMA grows with every change of shape; files of a
newer schema are refused. Null for what could not be measured, with the reason: never NaN.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from fsbench.errors import ResultError, UsageError
from fsbench.files import first_problem
from fsbench.record_types import Record
from fsbench.results import DatasetRecord, JudgeRecord, MetricRecord, ObserverRecord
from fsbench.store import write_text

SCHEMA = 3  # 2: registered, updates; 3: steps in a summary
FILE_NAME = "validation.json"
SHIPPED = Path(__file__).with_name("validity.json")
"""The verdicts of this version, which every report tells; `fsbench validate --update` wrote them."""

T = TypeVar("T")

DRAWN = ("strength", "value", "low", "high", "counts", "noticed")
"""What a summary keeps of a step, in this order."""

Verdict = Literal["responds", "turns_back", "blind", "ignores", "leaks", "wrong_way", "unexamined"]
"""responds: worse with the fault, as it should, or may; turns_back: but more of it is better again; blind: should
respond and does not; ignores: as it should, or may; leaks: responds to what it should ignore; wrong_way: better with
the fault; unexamined: has no value here."""


class FaultRecord(Record):
    """A known fault and its ladder."""

    name: str
    aspect: str  # what a metric has to measure to be expected to respond
    also: tuple[str, ...] = ()  # what cannot but be wrong as well: a metric of it may respond, and need not
    unit: str
    strengths: tuple[FiniteFloat, ...] = Field(min_length=1)  # increasing, without 0
    description: str
    split: Literal["test", "clips"]  # of the data set that it was applied to


class StepRecord(Record):
    """A metric at one strength. A change is to the perfect outputs, positive where it is for the worse."""

    model_config = ConfigDict(populate_by_name=True)  # files have the short names

    strength: FiniteFloat
    n_scored: int | None = None  # as the change and its interval, none in a summary
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    change: FiniteFloat | None = None
    change_low: FiniteFloat | None = None
    change_high: FiniteFloat | None = None
    enough_scored: bool = Field(alias="counts")  # at least half of what could be scored without the fault
    significant: bool = Field(alias="noticed")  # the change is more than chance

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return dict(zip(DRAWN, value, strict=True)) if isinstance(value, list) else value


class ResponseRecord(Record):
    """How a metric responds to a fault; see `fsbench.stats.validity.Response`."""

    model_config = ConfigDict(populate_by_name=True)

    metric: str
    judge: str | None = None
    fault: str
    expected: Literal["respond", "ignore", "either"]
    verdict: Verdict
    rho: FiniteFloat | None = None
    rho_low: FiniteFloat | None = None
    rho_high: FiniteFloat | None = None
    direction: Literal[-1, 0, 1] = 0
    detection_threshold: FiniteFloat | None = Field(None, alias="detected")
    saturation_threshold: FiniteFloat | None = Field(None, alias="saturated")
    turning_point: FiniteFloat | None = Field(None, alias="turned")
    change: FiniteFloat | None = None
    effect_size: FiniteFloat | None = Field(None, alias="size")  # the change in standard errors of the value
    share: FiniteFloat | None = None  # of the metric's largest response to what it measures
    steps: tuple[StepRecord, ...] = ()  # none in a summary before schema 3
    reason: str = ""  # why it was not examined


class SubsetRecord(Record):
    """Mean value over draws of so many outputs, without repeats."""

    n: int
    value: FiniteFloat


class CostRecord(Record):
    """Seconds per 1,000 outputs, nothing being cached, on the machine that `environment` describes."""

    networks: FiniteFloat  # detector, judge and observer, which all metrics that ask for them share
    metric: FiniteFloat  # measuring and summarising, with what networks the metric runs itself


class ExaminedRecord(Record):
    """What is known about a metric, under one judge or without one."""

    metric: MetricRecord
    judge: str | None = None
    measures: tuple[str, ...]
    perfect: FiniteFloat | None  # value of the exact swaps
    perfect_low: FiniteFloat | None = None
    perfect_high: FiniteFloat | None = None
    trivial: dict[str, FiniteFloat | None] = Field(default_factory=dict)  # value by copy: copy_target, copy_source
    won_by: tuple[str, ...] = ()  # copies whose value is at least as good as that of the exact swaps
    full_scale: FiniteFloat | None = None  # largest response to what it measures, in its unit
    reliability: FiniteFloat | None = None  # of two halves of the data, stepped up to the whole
    parts: tuple[SubsetRecord, ...] = ()  # dependence on the number of outputs, in the next field's condition
    parts_of: str = ""
    bias: FiniteFloat | None = None  # of a quarter of the outputs, as a share of the value of all; null within chance
    cost: CostRecord | None = None
    cautions: tuple[str, ...] = ()  # of the metric's own, at this number of outputs

    @property
    def key(self) -> str:
        """Name in tables: metric, and judge where there is one."""
        return f"{self.metric.name}@{self.judge}" if self.judge else self.metric.name


class UnexaminedRecord(Record):
    """A metric that could not be examined, and why."""

    metric: str
    judge: str | None = None
    summary: str
    reason: str


class UpdateRecord(Record):
    """A later `fsbench validate --update`, and the metrics whose entries come from it."""

    metrics: tuple[str, ...]
    created: str  # ISO 8601, UTC
    command: str
    seconds: FiniteFloat
    environment: dict[str, Any]


class Validation(Record):
    """Results of one `fsbench validate`, and of the updates that followed it."""

    schema_number: int = Field(alias="schema")
    created: str  # ISO 8601, UTC
    command: str
    seed: int
    seconds: FiniteFloat
    budget: str
    n_outputs: dict[str, int]  # of each condition, by split
    n_sessions: dict[str, int]
    resamples: int
    alpha: FiniteFloat  # of all faults and strengths of one metric together
    environment: dict[str, Any]
    dataset: DatasetRecord
    judges: tuple[JudgeRecord, ...]
    observers: tuple[ObserverRecord, ...]
    faults: tuple[FaultRecord, ...]
    metrics: tuple[ExaminedRecord, ...]
    unexamined: tuple[UnexaminedRecord, ...]
    responses: tuple[ResponseRecord, ...]
    warnings: tuple[str, ...] = ()
    registered: tuple[str, ...] = ()  # all metrics there were
    updates: tuple[UpdateRecord, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Validation:
        """Refuse records that contradict each other."""
        if self.n_outputs.keys() != self.n_sessions.keys():
            raise ValueError("n_outputs and n_sessions are of different splits")
        cells = [(entry.metric.name, entry.judge, fault.name) for entry in self.metrics for fault in self.faults]
        told = [(response.metric, response.judge, response.fault) for response in self.responses]
        if sorted(cells, key=str) != sorted(told, key=str):
            raise ValueError("responses are not those of every metric to every fault")
        if odd := [entry.key for entry in self.metrics if entry.bias is not None and not entry.parts]:
            raise ValueError(f"{odd[0]} has a bias and no parts that it is of")
        return self

    def missing(self, names: Iterable[str] | None = None) -> list[str]:
        """Return the metrics that are not examined yet, of some or of all that were registered."""
        known = {one.metric.name for one in self.metrics} | {one.metric for one in self.unexamined}
        return [name for name in (self.registered if names is None else names) if name not in known]

    def of(self, metric: str, judge: str | None = None) -> dict[str, ResponseRecord]:
        """Return what a metric does about each fault, by the fault's name."""
        return {one.fault: one for one in self.responses if (one.metric, one.judge) == (metric, judge)}


@lru_cache(maxsize=1)
def shipped() -> Validation | None:
    """Return the summary that came with this version; None where there is none."""
    return load(SHIPPED) if SHIPPED.is_file() else None


def summary(validation: Validation) -> Validation:
    """Return the same with responses of five digits, and of each step what a curve draws."""
    responses = tuple(ResponseRecord.model_validate(_short(response)) for response in validation.responses)
    return validation.model_copy(update={"responses": responses})


def _short(response: ResponseRecord) -> dict[str, Any]:
    """The fields of a response in a summary that are not at their default."""
    fields = {
        name: _rounded(value) for name, value in response.model_dump(by_alias=True, exclude_defaults=True).items()
    }
    if response.steps:
        fields["steps"] = [[_rounded(step[name]) for name in DRAWN] for step in fields["steps"]]
    return fields


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def save(validation: Validation, path: Path) -> None:
    """Write all of it atomically."""
    write_text(path, validation.model_dump_json(by_alias=True, indent=1) + "\n")


def save_summary(validation: Validation, path: Path) -> None:
    """Write its summary atomically, without what is at its default, and with one entry a line."""
    fields = []
    content = validation.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content["responses"] = [_short(response) for response in validation.responses]
    for key, value in content.items():
        entries = [json.dumps(entry, ensure_ascii=False) for entry in value] if isinstance(value, list) else []
        text = "[\n" + ",\n".join(entries) + "\n]" if entries else json.dumps(value, ensure_ascii=False)
        fields.append(f"{json.dumps(key)}: {text}")
    write_text(path, "{\n" + ",\n".join(fields) + "\n}\n")


def update(path: Path, part: Validation) -> None:
    """Put the entries of the metrics in `part` into a file, which must have been made with the same settings.

    A metric that `part` could not examine keeps the entry that it has. Raises UsageError where settings differ, and
    leaves the file as it is then.
    """
    base = load(path)
    check_settings(path, base, dataset=part.dataset.spec, faults=[fault.name for fault in part.faults],
                   seed=part.seed, budget=part.budget)  # fmt: skip
    for what, old, new in (
        ("data set revision", base.dataset.revision, part.dataset.revision),
        ("ladder of faults", base.faults, part.faults),
        ("number of outputs", base.n_outputs, part.n_outputs),
        ("number of resamples", base.resamples, part.resamples),
        ("error probability", base.alpha, part.alpha),
        *((f"judge {a.name}", a, b) for a, b in _of_one_name(base.judges, part.judges)),
        *((f"observer {a.name}", a.weights, b.weights) for a, b in _of_one_name(base.observers, part.observers)),
    ):
        if old != new:
            raise UsageError(f"{path} was made with another {what}", _ALL_AGAIN)
    whole = any(step.n_scored is not None for response in base.responses for step in response.steps)
    (save if whole else save_summary)(_merged(base, part), path)


_ALL_AGAIN = "examine all metrics again: fsbench validate --summary FILE"


def check_settings(
    path: Path, base: Validation, *, dataset: str, faults: Sequence[str], seed: int, budget: str
) -> None:
    """Raise UsageError where entries made with other settings would not compare with those of a file."""
    for option, old, new in (
        ("dataset", base.dataset.spec, dataset),
        ("faults", ",".join(sorted(fault.name for fault in base.faults)), ",".join(sorted(faults))),
        ("seed", base.seed, seed),
        ("budget", base.budget, budget),
    ):
        if old != new:
            raise UsageError(f"{path} was made with --{option} {old}, not {new}", f"use its settings, or {_ALL_AGAIN}")


def _merged(base: Validation, part: Validation) -> Validation:
    """Return `base` with the entries of `part` in place of its own of the same metrics."""
    examined = {one.metric.name for one in part.metrics}
    names = examined | {one.metric for one in part.unexamined} - {one.metric.name for one in base.metrics}

    def joined(old: Iterable[T], new: Iterable[T], metric: Callable[[T], str]) -> tuple[T, ...]:
        entries = [*(one for one in old if metric(one) not in names), *(one for one in new if metric(one) in names)]
        return tuple(sorted(entries, key=metric))

    earlier = [one.model_copy(update={"metrics": tuple(name for name in one.metrics if name not in names)})
               for one in base.updates]  # fmt: skip
    now = UpdateRecord(metrics=tuple(sorted(names)), created=part.created, command=part.command, seconds=part.seconds,
                       environment=part.environment)  # fmt: skip
    judges, observers = {one.name for one in base.judges}, {one.name for one in base.observers}
    return base.model_copy(update={
        "schema_number": SCHEMA,
        "judges": (*base.judges, *(one for one in part.judges if one.name not in judges)),
        "observers": (*base.observers, *(one for one in part.observers if one.name not in observers)),
        "metrics": joined(base.metrics, part.metrics, lambda one: one.metric.name),
        "unexamined": joined(base.unexamined, part.unexamined, lambda one: one.metric),
        "responses": joined(base.responses, part.responses, lambda one: one.metric),
        "warnings": tuple(dict.fromkeys((*base.warnings, *part.warnings))),
        "registered": part.registered,
        "updates": tuple(one for one in (*earlier, now) if one.metrics),
    })  # fmt: skip


def _of_one_name(old: Iterable[Any], new: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Records of the same name in two validations."""
    by_name = {one.name: one for one in new}
    return [(one, by_name[one.name]) for one in old if one.name in by_name]


def load(place: Path) -> Validation:
    """Read DIR/validation.json, or a file; raises ResultError."""
    path = place / FILE_NAME if place.is_dir() else place
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ResultError(f"{place} holds no {FILE_NAME}", "name the --out directory of: fsbench validate") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"{path} cannot be read: {error}", "the file is damaged; run again") from error
    number = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(number, int) or number < 1:
        raise ResultError(f"{path} is not what fsbench validate writes: it has no schema number")
    if number > SCHEMA:
        raise ResultError(
            f"{path} was written by a newer fsbench (schema {number}, this one reads up to {SCHEMA})",
            "upgrade fsbench to read it",
        )
    try:
        return Validation.model_validate(raw)
    except ValidationError as error:
        raise ResultError(f"{path} is not a valid validation: {first_problem(error)}", "run again") from error
