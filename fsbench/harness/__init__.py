"""The main job: pairs, models, outputs, features, values, files. Imported only when something runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench import environment, results
from fsbench.config import Plan, parse_budget
from fsbench.errors import NotScorable, PluginError, UsageError
from fsbench.harness import records, scoring
from fsbench.harness.folder import RunFolder
from fsbench.harness.judging import BLOCK, Judge, embed, find_landmarks
from fsbench.harness.obtain import Model, build, obtain, steps_or_seconds
from fsbench.harness.pairs import Group, Pairs, make_pairs
from fsbench.images import ImageSet, to_bytes
from fsbench.interfaces import Context, Dataset, Faces, Judgement, Metric, Oracle, Source, Split, Trainable, Truth
from fsbench.registry import metrics


@dataclass(frozen=True)
class Bench:
    """What all models of a run are measured with."""

    plan: Plan
    context: Context
    dataset: Dataset
    pairs: Pairs
    reference_rows: pd.DataFrame
    scorers: Mapping[str, Metric]
    judges: Mapping[str, Judge]
    references: Mapping[str, Tensor]  # judge -> (R, D); the first rows are the test split


@dataclass(frozen=True)
class Evaluated:
    """What one model did, without its images."""

    record: results.ModelRecord
    values: list[results.Value]
    samples: pd.DataFrame  # its part of samples.parquet
    vectors: Mapping[str, Tensor]  # judge -> (N, D)


def run(plan: Plan, out: Path, context: Context, *, command: str = "", resume: bool = False) -> results.RunResult:
    """Do what a plan says and leave the files of `fsbench.results` in `out`; raises FsbenchError.

    Whatever can be wrong with the plan is found before the first image is made. All costly steps are cached by content:
    after an interruption, or with another metric, only what is missing is computed.
    """
    started = time.monotonic()
    oracles = check(plan, context)
    folder = RunFolder(out)
    folder.check(plan, resume)
    dataset = environment.build_dataset(plan.dataset, context)

    test = dataset.faces("test")
    gallery = dataset.faces("gallery") if "gallery" in dataset.info.splits else None
    bench = prepare(plan, dataset, test, gallery, context)
    folder.begin(plan)
    context.log(f"results go to {out}")
    folder.write_inputs(bench.pairs)
    warnings = records.data_warnings(dataset, test, gallery)
    used: dict[Split, Faces] = {"test": test}
    if gallery is not None:
        used["gallery"] = gallery

    def train_split() -> Faces:
        if "train" not in used:  # read only where a model is trained
            used["train"] = dataset.faces("train")
        return used["train"]

    done = []
    for pipeline in plan.pipelines():
        if pipeline.label in oracles and any(group.truth is None for group in bench.pairs.groups):
            if pipeline.label in plan.models:
                warnings.append(f"{pipeline.label} is left out: {dataset.info.name} does not know the exact swaps")
            continue
        try:
            model = obtain(build(pipeline, context), train_split, plan.budget, plan.seed, context)
            done.append(evaluate(bench, model, folder))
        except Exception as error:
            error.add_note(f"while running {pipeline.label}; what was finished before is kept")
            raise
        judges = [judge.record() for judge in bench.judges.values()]
        warnings += records.model_warnings(model, done[-1].record, len(bench.pairs), judges, used)
    if not done:
        raise UsageError("no model is left to run", f"{dataset.info.name} does not know the exact swaps: name a model")

    folder.write_table("samples.parquet", pd.concat([one.samples for one in done], ignore_index=True))
    folder.write_table("references.parquet", bench.reference_rows)
    for name, references in bench.references.items():
        vectors = {one.record.name: one.vectors[name].numpy() for one in done}
        folder.write_features(name, {"references": references.numpy()} | vectors)
    result = results.RunResult(
        schema=results.SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        seed=plan.seed,
        seconds=time.monotonic() - started,
        environment=environment.describe(context.device),
        dataset=records.dataset_record(plan.dataset, dataset, used),
        protocol=records.protocol_record(bench.pairs, gallery, plan),
        judges=tuple(judge.record() for judge in bench.judges.values()),
        metrics=tuple(records.metric_record(name, metric) for name, metric in bench.scorers.items()),
        models=tuple(one.record for one in done),
        values=tuple(value for one in done for value in one.values),
        warnings=tuple(warnings),
    )
    results.save(result, out)
    return result


def check(plan: Plan, context: Context) -> set[str]:
    """Raise UsageError for whatever in a plan does not exist or cannot be read; returns models that need the truth."""
    if plan.budget != "auto":
        parse_budget(plan.budget)
    if not plan.pipelines():
        raise UsageError("no model to run", "name one with --models; see: fsbench list models")
    if not plan.judges:
        raise UsageError("no judge to ask", "name one with --judges; see: fsbench list embedders")
    for name in plan.metrics:
        metrics.build(name, context)
    for text in plan.judges:
        Judge.build(text, context)
    oracles = set()
    for pipeline in plan.pipelines():
        built = build(pipeline, context)
        if isinstance(built.swapper, Oracle):
            oracles.add(pipeline.label)
        elif isinstance(built.swapper, Trainable) and built.weights is None:
            steps_or_seconds(plan.budget, built.swapper, context.device.type, plan.seed)
    return oracles


def prepare(plan: Plan, dataset: Dataset, test: Faces, gallery: Faces | None, context: Context) -> Bench:
    """Pair the images and let every judge look at the real ones."""
    judges = {judge.name: judge for judge in (Judge.build(text, context) for text in plan.judges)}
    references: dict[str, Tensor] = {}
    sets = [("held-out images", test)] + ([("gallery", gallery)] if gallery is not None else [])
    for name, judge in judges.items():
        references[name] = torch.cat(
            [
                embed(judge, faces.crops, find_landmarks(faces.crops, title, context), title, context)
                for title, faces in sets
            ]
        )
    scorers = {name: metrics.build(name, context) for name in plan.metrics or metrics.names()}
    return Bench(
        plan,
        context,
        dataset,
        make_pairs(dataset, test),
        records.reference_rows(test, gallery),
        scorers,
        judges,
        references,
    )


def evaluate(bench: Bench, model: Model, folder: RunFolder) -> Evaluated:
    """Let a model swap all pairs, measure what it made, and write its images and weights."""
    outputs, seconds = swap_all(model, bench.pairs, bench.context)
    landmarks = find_landmarks(outputs, model.label, bench.context)
    index = torch.from_numpy(np.concatenate([group.index for group in bench.pairs.groups]))
    judgements: dict[str | None, Judgement] = {}
    for name, network in bench.judges.items():
        vectors = embed(network, outputs, landmarks, model.label, bench.context)
        references = bench.references[name]
        judgements[name] = Judgement(name, vectors, references[index], references, bench.reference_rows)

    rows: dict[str, np.ndarray] = {}
    values: list[results.Value] = []
    for metric, scorer in bench.scorers.items():
        for judge in list(judgements) if "judge" in scorer.info.needs else [None]:
            try:
                measured = scoring.measure(scorer, metric, bench.pairs, outputs, judgements.get(judge))
            except NotScorable as why:
                values.append(scoring.unscorable(metric, model.label, judge, len(bench.pairs), why))
                continue
            values.append(
                scoring.value(
                    scorer, metric, model.label, judge, bench.pairs, measured, bench.plan.resamples, bench.plan.seed
                )
            )
            if measured.shape[1] == 1:
                rows[results.column(metric, judge)] = measured[:, 0]
    paths = folder.write_outputs(model.label, bench.pairs, outputs)
    folder.write_model(model)
    return Evaluated(
        record=records.model_record(model, seconds, int(np.isnan(landmarks).any((1, 2)).sum())),
        values=values,
        samples=bench.pairs.rows.assign(model=model.label, output=paths, **rows),
        vectors={name: judgements[name].output for name in bench.judges},
    )


def swap_all(model: Model, pairs: Pairs, context: Context) -> tuple[ImageSet, float]:
    """Outputs of all pairs, 8-bit, and seconds per image; cached in blocks by everything that decides them.

    The time is the one that was measured when the outputs were made.
    """
    progress = context.stage(f"swapping: {model.label}")
    parts: list[np.ndarray] = []
    seconds = 0.0
    for group in pairs.groups:
        source = Source(group.source.identity, group.source.images.to(context.device))
        for start in range(0, len(group.index), BLOCK):
            block = group.cut(slice(start, start + BLOCK))

            def compute(source: Source = source, block: Group = block) -> dict[str, np.ndarray]:
                target = block.targets.crops[:].to(context.device)
                records.synchronise(context.device)
                began = time.perf_counter()
                output = swap(model, source, target, block.truth)
                records.synchronise(context.device)
                spent = time.perf_counter() - began
                progress(sum(map(len, parts)) + len(target), len(pairs), {})
                return {"outputs": to_bytes(output), "seconds": np.array([spent])}

            found = context.store.arrays("outputs", {"model": model.identity, "pairs": block.fingerprint()}, compute)
            parts.append(found["outputs"])
            seconds += float(found["seconds"][0])
    return ImageSet(np.concatenate(parts)), seconds / len(pairs)


def swap(model: Model, source: Source, target: Tensor, truth: Truth | None) -> Tensor:
    """Outputs for some targets of one source, through swapper and refiners; raises PluginError for what is no image."""
    with torch.inference_mode():
        if not isinstance(model.swapper, Oracle):
            output = model.swapper.swap(source, target)
        elif truth is not None:
            output = model.swapper.reveal(truth.exact[:].to(target.device))
        else:
            raise UsageError(f"{model.label} needs a data set that knows the exact swaps", "try --dataset synthetic")
        for refiner in model.refiners:
            output = refiner.refine(output, target, source)
    if not isinstance(output, Tensor) or output.shape != target.shape:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise PluginError(f"{model.label} gave {shape} for {tuple(target.shape)}", "an output has its target's shape")
    if not bool(torch.isfinite(output).all()):
        raise PluginError(
            f"{model.label} gave values that are not finite",
            "its training may have diverged: try another seed or budget",
        )
    return output
