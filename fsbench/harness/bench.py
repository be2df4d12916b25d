"""What all models of a run are measured with, and the measuring: wherever the outputs come from."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench import environment, results
from fsbench.config import Plan
from fsbench.errors import NotScorable
from fsbench.harness import maps, records, scoring
from fsbench.harness.folder import RunFolder
from fsbench.harness.judging import Judge, RealImages, Witness, build_judges, find_landmarks
from fsbench.harness.judging import Seen as Judged
from fsbench.harness.observing import Watcher, build_watchers, observe, pick
from fsbench.harness.pairs import Pairs
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, Judgement, Metric, Observation, Split
from fsbench.registry import metrics
from fsbench.stats.ranking import ranking

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


def assess(
    bench: Bench,
    record: results.ModelRecord,
    outputs: ImageSet,
    folder: RunFolder,
    passes: scoring.Passes | NotScorable | None = None,
) -> Assessed:
    """Measure the outputs of a model, in the order of the pairs, and write them as images."""
    label, plan = record.name, bench.plan
    seen = look(bench, outputs, label, passes)
    rows: dict[str, np.ndarray] = {}
    values: list[results.Value] = []
    for name, judge, measured in measure(bench, seen):
        if isinstance(measured, NotScorable):
            values.append(scoring.unscorable(name, label, judge, len(bench.pairs), measured))
            continue
        scorer = bench.scorers[name]
        values.append(scoring.value(scorer, name, label, judge, bench.pairs, measured, plan.resamples, plan.seed))
        if measured.shape[1] == 1:
            rows[results.column(name, judge)] = measured[:, 0]
    paths = folder.write_outputs(label, bench.pairs, outputs)
    return Assessed(
        record=record.model_copy(update={
            "n_no_face": int(np.isnan(seen.landmarks).any((1, 2)).sum()), "content": outputs.content_hash()
        }),
        values=values,
        samples=bench.pairs.rows.assign(model=label, output=paths, **rows),
        judged=seen.judged,
    )


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
) -> results.RunResult:
    """Write all files of a run, result.json last."""
    folder.write_table("samples.parquet", pd.concat([one.samples for one in done], ignore_index=True))
    folder.write_table("references.parquet", bench.real.rows)
    for name, witness in bench.witnesses.items():
        vectors = {one.record.name: one.judged[name].vectors.numpy() for one in done}
        folder.write_features(name, {"references": witness.references.vectors.numpy()} | vectors)
    folder.write_table("lookalikes.parquet", _lookalikes(bench, done))
    folder.write_table("umap.parquet", _maps(bench, done))
    judges = tuple(records.judge_record(witness) for witness in bench.witnesses.values())
    errors = estimator_errors(bench)
    models = tuple(one.record for one in done)
    values = tuple(value for one in done for value in one.values)
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
        metrics=tuple(records.metric_record(name, one, errors.get(name)) for name, one in bench.scorers.items()),
        models=models,
        values=values,
        ranking=ranking(values, models, judges),
        warnings=(*warnings, *(said for judge in judges for said in records.judge_warnings(judge))),
    )
    results.save(result, folder.path)
    return result


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
