"""Every metric held against every known fault: what `fsbench validate` and `fsbench.contracts.check_validity` do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from fsbench import environment, validity
from fsbench.config import Plan
from fsbench.datasets.synthetic import Synthetic
from fsbench.errors import NotScorable, UnknownName, UsageError
from fsbench.evidence.needs import JUDGE
from fsbench.extraction.extractor import build_judges
from fsbench.faults import FAULTS, Fault
from fsbench.harness import records, warn
from fsbench.harness.examination import ALPHA, Examination
from fsbench.harness.examined import examined, responses, unexamined, unexamined_record
from fsbench.harness.faulty import FaultySet, quiet, set_of
from fsbench.harness.instruments import Instruments, build_metrics
from fsbench.interfaces import Context, Faces, Metric, SetName
from fsbench.registry import metrics as registry


@dataclass(frozen=True)
class Size:
    """How many outputs a condition has, and the data that has so many."""

    dataset: str  # with a place for the number of clips of each person
    stills: int
    frames: int  # of all clips together
    resamples: int


SPLITS: Mapping[SetName, Literal["test", "clips"]] = {"stills": "test", "clips": "clips"}
"""What validity files call the sets."""

BUDGETS = {
    # Sixty strangers are enough for the threshold of a false-accept rate of 0.1 %.
    "smoke": Size("synthetic(people=4,sessions=9,images=2,gallery=20,clips={clips})", 16, 32, 100),
    "short": Size("synthetic(people=6,sessions=11,images=2,gallery=60,clips={clips})", 30, 72, 200),
    "full": Size("synthetic(people=6,sessions=22,images=20,gallery=60,clips={clips})", 200, 192, 400),
}


def validate(
    names: Sequence[str],
    faults: Sequence[str],
    judges: Sequence[str],
    context: Context,
    *,
    observers: Sequence[str] = (),
    dataset: str = "",
    budget: str = "short",
    seed: int = 0,
    command: str = "",
) -> validity.Validation:
    """Examine metrics by name, all for none; raises FsbenchError before any work for what does not exist.

    A metric that cannot be made, or has no value here, is told with the reason.
    """
    built, missing = build_metrics(names, context)
    return examine(
        built,
        faults,
        judges,
        context,
        observers=observers,
        dataset=dataset,
        budget=budget,
        seed=seed,
        command=command,
        missing=missing,
    )


def find_faults(names: Sequence[str]) -> list[Fault]:
    """Return faults by name, all for none, in the order of the table; raises UnknownName."""
    for name in names:
        if name not in FAULTS:
            raise UnknownName("fault", name, FAULTS)
    return [fault for name, fault in FAULTS.items() if name in names or not names]


def examine(
    built: Mapping[str, Metric],
    faults: Sequence[str],
    judges: Sequence[str],
    context: Context,
    *,
    observers: Sequence[str] = (),
    dataset: str = "",
    budget: str = "short",
    seed: int = 0,
    command: str = "",
    missing: Mapping[str, str] | None = None,
) -> validity.Validation:
    """Examine metrics by name; `missing` are others that could not be made, and why.

    Raises NotScorable where none is left to be examined, and UsageError for what does not exist.
    """
    began = time.monotonic()
    if budget not in BUDGETS:
        raise UnknownName("budget", budget, BUDGETS)
    size, ladder = BUDGETS[budget], find_faults(faults)
    instruments = Instruments.for_metrics([], built, observers, quiet(context))
    reasons = {**(missing or {}), **_unfit(built, instruments.kinds.missing)}
    built = {name: metric for name, metric in built.items() if name not in reasons}
    if not built:
        raise NotScorable("; ".join(f"{name} cannot be examined: {why}" for name, why in reasons.items()))
    samples = {metric.info.sample for metric in built.values()}
    names: list[SetName] = list(dict.fromkeys(map(set_of, ladder))) if "output" in samples else []
    names += ["clips"] if "clip" in samples and "clips" not in names else []
    asked = judges if any(JUDGE in metric.info.needs for metric in built.values()) else ()
    plan = Plan(
        dataset=dataset or size.dataset.format(clips=2 if "clips" in names else 0),
        models=(),
        metrics=tuple(built),
        judges=tuple(asked),
        observers=tuple(observers),
        seed=seed,
        resamples=size.resamples,
    )
    data = environment.build_dataset(plan.dataset, context)
    if not isinstance(data, Synthetic):
        raise UsageError(f"{plan.dataset} cannot be drawn with known faults", "try --dataset synthetic")
    if "clips" in names and not (data.outline("test")["clip"] != "").any():
        raise UsageError(f"{plan.dataset} has no clips to show faults of motion on", "write synthetic(clips=2,...)")
    instruments = instruments.only(built, build_judges(asked, context) if asked else [])
    sizes: dict[SetName, int] = {"stills": size.stills, "clips": size.frames}
    sets = {name: FaultySet.build(data, name, sizes[name], instruments, plan, context) for name in names}
    examination = Examination(sets, ladder, context)
    examination.run()
    home = examination.home
    used: dict[str, Faces] = {SPLITS[name]: setting.targets for name, setting in sets.items()}
    if home.gallery is not None:
        used["gallery"] = home.gallery
    judge_records = tuple(records.judge_record(judge) for judge in home.evaluation.judges.values())
    return validity.Validation(
        schema=validity.SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        seed=seed,
        seconds=time.monotonic() - began,
        budget=budget,
        alpha=ALPHA,
        n_outputs={SPLITS[name]: len(setting.evaluation.pairs) for name, setting in sets.items()},
        n_sessions={SPLITS[name]: len(np.unique(setting.designs["output"].sessions)) for name, setting in sets.items()},
        resamples=plan.resamples,
        environment=environment.describe(context.device),
        dataset=records.dataset_record(plan.dataset, data.info, used),
        judges=judge_records,
        observers=tuple(records.observer_record(observer) for observer in instruments.observers.values()),
        faults=tuple(_fault_record(fault) for fault in ladder),
        metrics=tuple(examined(examination)),
        unexamined=tuple(
            sorted(
                [*(unexamined_record(name, why) for name, why in reasons.items()), *unexamined(examination)],
                key=lambda record: record.metric,
            )
        ),
        responses=tuple(responses(examination)),
        registered=tuple(registry.names()),
        warnings=(
            *warn.of_data(data, home.targets, home.gallery),
            *(warning for judge in judge_records for warning in warn.of_judge(judge)),
        ),
    )


def _unfit(built: Mapping[str, Metric], missing: Mapping[str, NotScorable]) -> dict[str, str]:
    """Why some metrics cannot be examined; `missing` is evidence that cannot be made."""
    reasons = {}
    for name, metric in built.items():
        if "recursion" in metric.info.needs:
            reasons[name] = "it needs outputs that were fed back into a model, and here is none"
        elif "crop" not in metric.info.stages:
            reasons[name] = "it looks at outputs in their frames, and faults are drawn on crops"
        elif metric.info.missing:
            reasons[name] = metric.info.missing
        elif lacking := [missing[need] for need in metric.info.needs if need in missing]:
            reasons[name] = lacking[0].message
    return reasons


def _fault_record(fault: Fault) -> validity.FaultRecord:
    return validity.FaultRecord(
        name=fault.name,
        aspect=fault.aspect,
        also=fault.also,
        unit=fault.unit,
        strengths=fault.strengths,
        description=fault.description,
        split=SPLITS[set_of(fault)],
    )
