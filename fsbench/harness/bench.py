"""What all models of a run are measured with, and the measuring: wherever the outputs come from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench import environment, results
from fsbench.config import BASELINES, Plan, parse_pipeline
from fsbench.errors import NotScorable, one_line
from fsbench.harness import failures, maps, records, scoring
from fsbench.harness.folder import RunFolder
from fsbench.harness.judging import Judge, RealImages, Witness, build_judges, find_landmarks
from fsbench.harness.judging import Seen as Judged
from fsbench.harness.observing import Watcher, build_watchers, observe, pick
from fsbench.harness.obtain import build, obtain
from fsbench.harness.pairs import Pairs
from fsbench.harness.swapping import swap_all
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, Judgement, Metric, Observation, Split
from fsbench.registry import metrics
from fsbench.stats.ranking import CONTESTANTS, ranking

CHEAPEST_BASELINES = ("copy_target", "copy_source")
"""Measured where a model failed in a run without baselines: something has to say what a failure counts as."""

TOLD = 10
"""Look-alikes of each image that a run's files tell."""


@dataclass(frozen=True)
class Panel:
    """Who looks at images: judges, observers, and the metrics that ask them."""

    judges: Sequence[Judge]
    scorers: Mapping[str, Metric]
    watchers: Mapping[str, Watcher]  # by observer
    missing: Mapping[str, NotScorable]  # why an observer that a metric asks for is not there

    @classmethod
    def of(cls, plan: Plan, context: Context) -> Panel:
        """Make them; raises FsbenchError for what does not exist.

        Raises NotScorable where the plan names a metric whose network is not there; metrics that it does not name may
        go without.
        """
        judges = build_judges(plan.judges, context)
        scorers = {name: metrics.build(name, context) for name in plan.metrics or metrics.names()}
        watchers, missing = build_watchers(scorers.values(), plan.observers, context)
        lacking = [*missing.values(), *(NotScorable(one.info.missing) for one in scorers.values() if one.info.missing)]
        if plan.metrics and lacking:
            raise lacking[0]
        return cls(judges, scorers, watchers, missing)


@dataclass(frozen=True)
class Bench:
    """Pairs, networks that have seen the real images, and metrics."""

    plan: Plan
    context: Context
    pairs: Pairs
    real: RealImages
    witnesses: Mapping[str, Witness]  # by judge
    watchers: Mapping[str, Watcher]  # by observer
    targets: Mapping[str, Mapping[str, Tensor]]  # what each observer tells of the targets, in the order of the pairs
    missing: Mapping[str, NotScorable]  # why an observer that a metric asks for is not there
    scorers: Mapping[str, Metric]
    floor: failures.Floor = field(default_factory=failures.Floor)


@dataclass(frozen=True)
class Seen:
    """What all networks make of a model's outputs."""

    outputs: ImageSet
    landmarks: np.ndarray  # (N, 5, 2)
    judged: Mapping[str, Judged]  # by judge
    observed: Mapping[str, Observation]  # by observer
    passes: scoring.Passes | NotScorable | None  # why there are none, where the reason is not the usual one


@dataclass(frozen=True)
class Assessed:
    """What one model did, without its images."""

    record: results.ModelRecord
    values: list[results.Value]
    samples: pd.DataFrame  # its part of samples.parquet
    judged: Mapping[str, Judged]  # by judge, (N, ...)


def prepare(
    plan: Plan, panel: Panel, pairs: Pairs, test: Faces, gallery: Faces | None, context: Context
) -> Bench:
    """Let every network look at the real images."""
    real = RealImages.look(test, gallery, context)
    title, crops, landmarks = real.parts[0]
    told = {name: observe(one, crops, landmarks, title, context) for name, one in panel.watchers.items()}
    targets = {name: pick(arrays, pairs.index) for name, arrays in told.items()}
    witnesses = {judge.name: Witness.brief(judge, real, context) for judge in panel.judges}
    return Bench(plan, context, pairs, real, witnesses, panel.watchers, targets, panel.missing, panel.scorers)


def look(
    bench: Bench, outputs: ImageSet, title: str, passes: scoring.Passes | NotScorable | None = None
) -> Seen:
    """Show the outputs of a model, in the order of the pairs, to every network."""
    context = bench.context
    landmarks = find_landmarks(outputs, title, context)
    judged = {name: one.look(outputs, landmarks, title, context) for name, one in bench.witnesses.items()}
    observed = {}
    for name, watcher in bench.watchers.items():
        told = observe(watcher, outputs, landmarks, title, context)
        observed[name] = Observation(name, pick(told, np.arange(len(outputs))), bench.targets[name])
    return Seen(outputs, landmarks, judged, observed, passes)


def measure(bench: Bench, seen: Seen) -> Iterator[tuple[str, str | None, np.ndarray | NotScorable]]:
    """Metric, judge (None for a metric that asks none) and rows (N, K), or why there are none."""
    judgements = {name: _judgement(bench, name, judged) for name, judged in seen.judged.items()}
    for name, metric in bench.scorers.items():
        for judge in judgements if "judge" in metric.info.needs else (None,):
            try:
                evidence = scoring.Evidence(
                    seen.outputs,
                    None if judge is None else judgements[judge],
                    _observation(bench, seen.observed, metric),
                    _passes(seen, metric),
                )
                yield name, judge, scoring.measure(metric, name, bench.pairs, evidence)
            except NotScorable as why:
                yield name, judge, why
            except Exception as error:  # noqa: BLE001 - a metric's fault must not cost what the others say
                yield name, judge, scoring.fault(error)


def assess(
    bench: Bench,
    record: results.ModelRecord,
    outputs: ImageSet,
    folder: RunFolder,
    passes: scoring.Passes | NotScorable | None = None,
    *,
    lost: np.ndarray | None = None,
    facts: pd.DataFrame | None = None,
) -> Assessed:
    """Measure the outputs of a model, in the order of the pairs, and write them as images.

    `lost` (N,) of str names the pairs without an image (`failures.ABSENT`, "" for the others): what stands for it in
    `outputs` is not measured. The columns of `facts`, N rows, are added to samples.parquet.
    """
    label, plan = record.name, bench.plan
    seen = look(bench, outputs, label, passes)
    absent = np.full(len(bench.pairs), "", object) if lost is None else lost
    failed = np.full(len(absent), "", object)
    if contestant := record.kind in CONTESTANTS:
        faceless = _faceless(seen.landmarks) & ~_faceless(bench.real.parts[0][2])[bench.pairs.index]
        failed = failures.find(outputs, bench.pairs.targets, bench.pairs.masks, faceless, absent)
    columns: dict[str, np.ndarray] = {}
    values: list[results.Value] = []
    for name, judge, measured in measure(bench, seen):
        if isinstance(measured, NotScorable):
            values.append(scoring.unscorable(name, label, judge, len(bench.pairs), measured))
            continue
        scorer = bench.scorers[name]
        rows = np.where((absent != "")[:, None], np.nan, measured)
        counted = failures.Counted.of(rows)
        if contestant and ((failed != "").any() or np.isnan(rows).any()):
            counted = failures.Counted.with_failures(scorer, rows, failed, _floor(bench, name, judge))
        elif record.kind == "baseline" and label in BASELINES:
            bench.floor.add(name, judge, rows)
        values.append(scoring.value(scorer, name, label, judge, bench.pairs, counted, plan.resamples, plan.seed))
        if rows.shape[1] == 1:
            columns[results.column(name, judge)] = rows[:, 0]
    paths = folder.write_outputs(label, bench.pairs, outputs)
    samples = bench.pairs.rows.assign(model=label, output=paths, failure=failed, **columns)
    return Assessed(
        record=record.model_copy(update={
            "n_no_face": int((_faceless(seen.landmarks) & (absent == "")).sum()),
            "failures": failures.count(failed),
            "content": outputs.content_hash(),
        }),
        values=values,
        samples=samples if facts is None else samples.join(facts),
        judged=seen.judged,
    )


def _floor(bench: Bench, name: str, judge: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """What failures count as, where need be by baselines that the run did not ask for."""
    if not bench.floor.rows:
        for label in CHEAPEST_BASELINES:
            model = obtain(build(parse_pipeline(label), bench.context), _untrained, "auto", 0, bench.context)
            outputs, _ = swap_all(model, bench.pairs, bench.context)
            for other, asked, rows in measure(bench, look(bench, outputs, label)):
                if not isinstance(rows, NotScorable):
                    bench.floor.add(other, asked, rows)
    return bench.floor.at(bench.scorers[name], name, judge)


def _untrained() -> Faces:
    raise AssertionError("baselines do not learn")


def _faceless(landmarks: np.ndarray) -> np.ndarray:
    """Where no face was found, (N, 5, 2) -> (N,) bool."""
    found: np.ndarray = np.isnan(landmarks).any((1, 2))
    return found


def estimator_errors(bench: Bench) -> dict[str, float]:
    """How far the estimator of a metric is off on this data, by metric: its check's value for unchanged targets."""
    unchanged = {name: Observation(name, told, told) for name, told in bench.targets.items()}
    found = {}
    for name, metric in bench.scorers.items():
        if not metric.info.checked_by:
            continue
        check = metrics.build(metric.info.checked_by, bench.context)
        try:
            evidence = scoring.Evidence(bench.pairs.targets, None, _observation(bench, unchanged, check))
            rows = scoring.measure(check, metric.info.checked_by, bench.pairs, evidence)
            scored = rows[~np.isnan(rows).any(1)]
            if len(scored) and math.isfinite(error := check.summarise(scored)):
                found[name] = error
        except NotScorable:  # nobody knows the truth here, so nobody knows the error
            continue
    return found


def _observation(bench: Bench, observed: Mapping[str, Observation], metric: Metric) -> Observation | None:
    name = metric.info.observer
    if name in bench.missing:
        raise bench.missing[name]
    return observed.get(name)


def _passes(seen: Seen, metric: Metric) -> scoring.Passes | None:
    if "recursion" not in metric.info.needs:
        return None
    if isinstance(seen.passes, NotScorable):
        raise seen.passes
    return seen.passes


def _judgement(bench: Bench, name: str, judged: Judged) -> Judgement:
    witness = bench.witnesses[name]
    references = witness.references.vectors
    targets = torch.from_numpy(bench.pairs.index)
    return Judgement(name, judged.vectors, references[targets], references, bench.real.rows,
                     witness.lookalikes(judged), witness.calibration)


def conclude(
    bench: Bench,
    done: Sequence[Assessed],
    folder: RunFolder,
    dataset: results.DatasetRecord,
    used: Mapping[Split, Faces],
    *,
    command: str,
    started: float,
    warnings: Sequence[str],
    stage: str = "aligned crop, outputs rounded to 8 bits, scored from memory",
    failed: Sequence[results.ModelRecord] = (),
    unused: Sequence[results.UnusedRecord] = (),
) -> results.RunResult:
    """Write all files of a run: what the numbers need, then result.json, then what only illustrates them."""
    folder.write_samples(pd.concat([one.samples for one in done], ignore_index=True))
    folder.write_table("references.parquet", bench.real.rows)
    for name, witness in bench.witnesses.items():
        vectors = {one.record.name: one.judged[name].vectors.numpy() for one in done}
        folder.write_features(name, {"references": witness.references.vectors.numpy()} | vectors)
    judges = tuple(records.judge_record(witness) for witness in bench.witnesses.values())
    errors = estimator_errors(bench)
    models = (*(one.record for one in done), *failed)
    values = tuple(value for one in done for value in one.values)
    faults = [f"{value.metric}: {value.reason}" for value in values if value.reason.startswith(scoring.FAULT)]
    metrics = tuple(records.metric_record(name, one, errors.get(name)) for name, one in bench.scorers.items())
    result = results.RunResult(
        schema=results.SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        seed=bench.plan.seed,
        seconds=time.monotonic() - started,
        environment=environment.describe(bench.context.device),
        dataset=dataset,
        protocol=records.protocol_record(stage, bench.pairs, used.get("gallery"), bench.plan),
        judges=judges,
        observers=tuple(records.observer_record(watcher) for watcher in bench.watchers.values()),
        metrics=metrics,
        models=models,
        values=values,
        ranking=ranking(values, models, judges, metrics),
        unused=tuple(unused),
        warnings=(
            *warnings,
            *(warning for judge in judges for warning in records.judge_warnings(judge)),
            *dict.fromkeys(faults),
        ),
    )
    results.save(result, folder.path)
    lost = _illustrate(bench, done, folder)
    if lost:
        result = result.model_copy(update={"warnings": (*result.warnings, *lost)})
        results.save(result, folder.path)
    return result


def _illustrate(bench: Bench, done: Sequence[Assessed], folder: RunFolder) -> list[str]:
    """Write tables that no value depends on; returns a sentence for each that could not be made."""
    tables: dict[str, Callable[[Bench, Sequence[Assessed]], pd.DataFrame]] = {
        "lookalikes.parquet": _lookalikes,
        "umap.parquet": _maps,
    }
    lost = []
    for name, make in tables.items():
        try:
            folder.write_table(name, make(bench, done))
        except Exception as error:  # noqa: BLE001 - whatever a library of plots raises, the numbers are there
            lost.append(f"{name} could not be made, and the report is without it: {one_line(error)}")
    return lost


def _lookalikes(bench: Bench, done: Sequence[Assessed]) -> pd.DataFrame:
    """Rows of lookalikes.parquet."""
    parts = []
    for name, witness in bench.witnesses.items():
        people = np.array(witness.people, dtype=object)
        for model, seen in [("", witness.references), *((one.record.name, one.judged[name]) for one in done)]:
            top, scores = (table[:, :TOLD].numpy() for table in (seen.top, seen.scores))
            row, rank = np.nonzero(top >= 0)
            parts.append(pd.DataFrame({"judge": name, "model": model, "row": row, "rank": rank + 1,
                                       "name": people[top[row, rank]] if len(people) else [],
                                       "score": scores[row, rank]}))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _maps(bench: Bench, done: Sequence[Assessed]) -> pd.DataFrame:
    """Rows of umap.parquet: the held-out images, and the outputs of all but the baselines, which copy those."""
    parts = []
    swapped = int((bench.real.rows["split"] == "test").sum())
    shown = [one for one in done if one.record.kind != "baseline"]
    for name, witness in bench.witnesses.items():
        outputs = {one.record.name: one.judged[name].vectors for one in shown}
        groups = {"": witness.references.vectors[:swapped], **outputs}
        parts.append(maps.draw(name, {model: vectors.numpy() for model, vectors in groups.items()},
                               bench.plan.seed, bench.context))
    return pd.concat(parts, ignore_index=True)
