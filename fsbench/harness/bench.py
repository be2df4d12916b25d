"""What all models of a run are measured with, and the measuring: wherever the outputs come from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from fsbench import environment, results
from fsbench.config import Plan
from fsbench.errors import NotScorable
from fsbench.harness import maps, records, scoring
from fsbench.harness.folder import RunFolder
from fsbench.harness.judging import Judge, Seen, Witness, find_landmarks
from fsbench.harness.pairs import Pairs
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, Judgement, Metric, Split
from fsbench.registry import metrics
from fsbench.stats.ranking import ranking

TOLD = 10
"""Look-alikes of each image that a run's files tell."""


@dataclass(frozen=True)
class Bench:
    """Pairs, judges that have seen the real images, and metrics."""

    plan: Plan
    context: Context
    pairs: Pairs
    reference_rows: pd.DataFrame  # (R, ...) the held-out images, then the gallery
    witnesses: Mapping[str, Witness]  # by judge
    scorers: Mapping[str, Metric]


@dataclass(frozen=True)
class Assessed:
    """What one model did, without its images."""

    record: results.ModelRecord
    values: list[results.Value]
    samples: pd.DataFrame  # its part of samples.parquet
    seen: Mapping[str, Seen]  # by judge, (N, ...)


def prepare(
    plan: Plan, judges: Sequence[Judge], pairs: Pairs, test: Faces, gallery: Faces | None, context: Context
) -> Bench:
    """Let every judge look at the real images."""
    faces = [("held-out images", test), *([("gallery", gallery)] if gallery is not None else [])]
    rows = records.reference_rows(test, gallery)
    witnesses = {judge.name: Witness.brief(judge, faces, rows, context) for judge in judges}
    scorers = {name: metrics.build(name, context) for name in plan.metrics or metrics.names()}
    return Bench(plan, context, pairs, rows, witnesses, scorers)


def assess(bench: Bench, record: results.ModelRecord, outputs: ImageSet, folder: RunFolder) -> Assessed:
    """Measure the outputs of a model, in the order of the pairs, and write them as images."""
    label = record.name
    landmarks = find_landmarks(outputs, label, bench.context)
    seen = {name: one.look(outputs, landmarks, label, bench.context) for name, one in bench.witnesses.items()}
    judgements = {name: _judgement(bench, name, one) for name, one in seen.items()}
    rows: dict[str, np.ndarray] = {}
    values: list[results.Value] = []
    for metric, scorer in bench.scorers.items():
        for judge in judgements if "judge" in scorer.info.needs else (None,):
            try:
                measured = scoring.measure(
                    scorer, metric, bench.pairs, outputs, None if judge is None else judgements[judge]
                )
            except NotScorable as why:
                values.append(scoring.unscorable(metric, label, judge, len(bench.pairs), why))
                continue
            plan = bench.plan
            values.append(
                scoring.value(scorer, metric, label, judge, bench.pairs, measured, plan.resamples, plan.seed)
            )
            if measured.shape[1] == 1:
                rows[results.column(metric, judge)] = measured[:, 0]
    paths = folder.write_outputs(label, bench.pairs, outputs)
    return Assessed(
        record=record.model_copy(update={
            "n_no_face": int(np.isnan(landmarks).any((1, 2)).sum()), "content": outputs.content_hash()
        }),
        values=values,
        samples=bench.pairs.rows.assign(model=label, output=paths, **rows),
        seen=seen,
    )


def _judgement(bench: Bench, name: str, seen: Seen) -> Judgement:
    witness = bench.witnesses[name]
    references = witness.references.vectors
    targets = torch.from_numpy(np.concatenate([group.index for group in bench.pairs.groups]))
    return Judgement(name, seen.vectors, references[targets], references, bench.reference_rows,
                     witness.lookalikes(seen), witness.calibration)


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
    folder.write_table("references.parquet", bench.reference_rows)
    for name, witness in bench.witnesses.items():
        vectors = {one.record.name: one.seen[name].vectors.numpy() for one in done}
        folder.write_features(name, {"references": witness.references.vectors.numpy()} | vectors)
    folder.write_table("lookalikes.parquet", _lookalikes(bench, done))
    folder.write_table("umap.parquet", _maps(bench, done))
    judges = tuple(records.judge_record(witness) for witness in bench.witnesses.values())
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
        metrics=tuple(records.metric_record(name, metric) for name, metric in bench.scorers.items()),
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
        for model, seen in [("", witness.references), *((one.record.name, one.seen[name]) for one in done)]:
            top, scores = (table[:, :TOLD].numpy() for table in (seen.top, seen.scores))
            row, rank = np.nonzero(top >= 0)
            parts.append(pd.DataFrame({"judge": name, "model": model, "row": row, "rank": rank + 1,
                                       "name": people[top[row, rank]] if len(people) else [],
                                       "score": scores[row, rank]}))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _maps(bench: Bench, done: Sequence[Assessed]) -> pd.DataFrame:
    """Rows of umap.parquet: the held-out images, and the outputs of all but the baselines, which copy those."""
    parts = []
    swapped = int((bench.reference_rows["split"] == "test").sum())
    shown = [one for one in done if one.record.kind != "baseline"]
    for name, witness in bench.witnesses.items():
        groups = {"": witness.references.vectors[:swapped]} | {one.record.name: one.seen[name].vectors for one in shown}
        parts.append(maps.draw(name, {model: vectors.numpy() for model, vectors in groups.items()},
                               bench.plan.seed, bench.context))
    return pd.concat(parts, ignore_index=True)
