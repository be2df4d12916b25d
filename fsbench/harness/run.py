"""The service `run`: pairs, models, outputs, features, values, files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import cast

from fsbench import environment, results
from fsbench.config import BASELINES, Pipeline, Plan, parse_budget
from fsbench.errors import (
    CheckpointError,
    DataError,
    FsbenchError,
    Interrupted,
    OutputError,
    PluginError,
    RemoteError,
    UsageError,
    WeightsError,
)
from fsbench.events import FolderChosen, ModelsPlanned
from fsbench.harness import records, sets, warn, write_read
from fsbench.harness.evaluation import OutputFeatures
from fsbench.harness.evaluator import baseline
from fsbench.harness.external.exported import ExportedOutputs
from fsbench.harness.frames import FrameStage
from fsbench.harness.generate import SwappedPairs, feed_of, swap_all
from fsbench.harness.instruments import Instruments
from fsbench.harness.models import Built, build, check_budget, prepare_model
from fsbench.harness.pair_choice import PairChoice
from fsbench.harness.run_folder import RunFolder
from fsbench.harness.splits import Splits
from fsbench.harness.unwritten import Unwritten
from fsbench.harness.writer import RunWriter
from fsbench.interfaces import Context, Dataset, WithVideos
from fsbench.record_types import SetName


def run(
    plan: Plan,
    out: Path,
    context: Context,
    *,
    command: str = "",
    resume: bool = False,
    strict: bool = True,
    exported: ExportedOutputs | None = None,
    members: AbstractContextManager[object] | None = None,
    leads: bool = True,
) -> results.RunResult:
    """Do what a plan says and leave the files of `fsbench.results` in `out`; raises FsbenchError.

    The plan is validated before any work. All costly steps are cached by content: after an interruption, or with
    another metric, only what is missing is computed. Files that a model needs, or a metric that the plan names, must be
    there; where the run is not `strict`, a model or metric without them has no values, and the reason is told.
    `exported` are outputs of other tools, which models of the plan read: of those whose files show none of the pairs
    the reason is kept. `members` starts the processes that share the work (`fsbench.executors`): when the plan is known
    to be possible. One that does not lead computes what the store's claims leave to it, and its result is empty.
    """
    started = time.monotonic()
    exported = exported or ExportedOutputs()
    models = check(plan, context, strict=strict, tolerated=(DataError,) if exported.tools else ())
    instruments = Instruments.of(plan, context, strict=strict)
    folder, choice = RunFolder(out), PairChoice.of(plan, files=bool(exported.tools))
    folder.check(plan, resume, choice.inputs)
    context.tell(FolderChosen(out))
    context.tell(ModelsPlanned(tuple(pipeline.label for pipeline in plan.pipelines())))
    with members or nullcontext():
        write = partial(RunWriter if leads else Unwritten, folder=folder, command=command, started=started)
        writer, splits = _measure(plan, models, instruments, choice, exported, write, context)
        record = records.dataset_record(plan.dataset, splits.dataset.info, splits.by_kind())
        return writer.finish(record, exported.unused([evaluation.pairs for evaluation in writer.evaluations.values()]))


def _measure(
    plan: Plan,
    models: dict[str, Built | FsbenchError],
    instruments: Instruments,
    choice: PairChoice,
    exported: ExportedOutputs,
    write: Callable[..., RunWriter],
    context: Context,
) -> tuple[RunWriter, Splits]:
    """Prepare the data, and hand all models to the writer that `write` makes."""
    splits = Splits(environment.build_dataset(plan.dataset, context))
    stage = FrameStage.of(plan, splits.dataset, context)
    evaluations = sets.prepare(plan, instruments, splits, choice, context)
    of_frames = sets.of_frames(stage, evaluations, instruments) if stage is not None else {}
    writer = write(plan, instruments, evaluations, stage=stage, of_frames=of_frames)
    writer.begin(choice.inputs)
    writer.warnings += [*warn.of_set(writer.main.set, splits, instruments), *exported.warnings(instruments.judges)]
    faults = exported.faults([evaluation.pairs for evaluation in evaluations.values()])
    if stage is not None:
        _paste_unchanged(stage, writer)
    if plan.baselines and isinstance(splits.dataset, WithVideos):
        _write_unchanged(splits.dataset, writer)
    runnable = _runnable(plan, models, splits, writer)
    context.tell(ModelsPlanned(tuple(pipeline.label for pipeline in runnable)))
    if context.store.claims.shared:
        _train_together([models[str(pipeline)] for pipeline in runnable], splits, plan, context)
    measured, first_error = 0, None
    for pipeline in runnable:
        try:
            _run_model(faults.get(pipeline.label) or models.pop(str(pipeline)), splits, writer)
            measured += 1
        except (OutputError, Interrupted):  # of the disk and of the user, not of the model
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the others are measured
            writer.fail(records.failed_model(pipeline, error), error)
            first_error = first_error or error
    if not measured:
        raise first_error or UsageError(
            "no model is left to run", f"{splits.dataset.info.name} does not know the exact swaps: name a model"
        )
    return writer, splits


def _train_together(models: Iterable[Built | FsbenchError], splits: Splits, plan: Plan, context: Context) -> None:
    """Train models, each in one of the processes that share the work; what fails is told when it is its turn."""

    def train(built: Built) -> None:
        with suppress(FsbenchError):
            prepare_model(built, lambda: splits["train"], plan.budget, plan.seed, context)

    ready = [model for model in models if isinstance(model, Built)]
    list(context.store.claims.share(ready, lambda built: f"training {built.pipeline}", lambda built: False, train))


def check(
    plan: Plan, context: Context, *, strict: bool = True, tolerated: tuple[type[FsbenchError], ...] = ()
) -> dict[str, Built | FsbenchError]:
    """Raise UsageError for whatever in a plan does not exist or cannot be read; return the models, built.

    Of a model whose plug-in is at fault the reason is returned, and the run goes on without it; where it is not
    `strict`, also of one whose files are not there, and of one with an error that is `tolerated`. Raises the first
    reason where all models but baselines have one.
    """
    tolerated = (*tolerated, PluginError, *(() if strict else (WeightsError, CheckpointError)))
    if plan.budget != "auto":
        parse_budget(plan.budget)
    if not plan.pipelines():
        raise UsageError("no model to run", "name one with --models; see: fsbench list models")
    models: dict[str, Built | FsbenchError] = {}
    for pipeline in plan.pipelines():
        try:
            models[str(pipeline)] = built = build(pipeline, context)
            check_budget(built, plan.budget, plan.seed, context)
        except tolerated as error:
            models[str(pipeline)] = error
    named = [models[str(pipeline)] for pipeline in plan.pipelines() if pipeline.label not in BASELINES]
    faults = [model for model in named if isinstance(model, FsbenchError)]
    if faults and len(faults) == len(named):  # nothing is left but baselines
        raise faults[0]
    return models


def _runnable(plan: Plan, models: dict[str, Built | FsbenchError], splits: Splits, writer: RunWriter) -> list[Pipeline]:
    """Leave out models that only repeat exact swaps where these are not known; those that the user named are told."""
    kept = []
    for pipeline in plan.pipelines():
        built = models[str(pipeline)]
        if not (isinstance(built, Built) and built.needs_truth and writer.main.pairs.exact is None):
            kept.append(pipeline)
        elif pipeline.label in plan.models:
            writer.warnings.append(
                f"{pipeline.label} is left out: {splits.dataset.info.name} does not know the exact swaps"
            )
    return kept


def _paste_unchanged(stage: FrameStage, writer: RunWriter) -> None:
    """Measure the frames with the unchanged crop pasted back: the floor of the preset, beside which values stand."""
    record = records.floor_record(stage.preset)
    crops, pasted = dict[SetName, OutputFeatures](), dict[SetName, OutputFeatures]()
    for name, evaluation in writer.evaluations.items():
        _, swapped = baseline("copy_target", evaluation.pairs, evaluation.context)
        crops[name] = evaluation.extract(record.name, swapped.images)
        if name in writer.of_frames:
            everywhere = swapped._replace(alpha=None)  # that of copy_target says that nothing is to be pasted
            pasted[name] = stage.extract(record.name, evaluation, writer.of_frames[name], everywhere)
    writer.add(record, crops, pasted=pasted)


def _write_unchanged(dataset: WithVideos, writer: RunWriter) -> None:
    """Measure the targets as a video shows them that was written and read again: the floor of the codec."""
    record, revision = write_read.record(), cast(Dataset, dataset).info.revision
    features, pasted = dict[SetName, OutputFeatures](), dict[SetName, OutputFeatures]()
    for name, evaluation in writer.evaluations.items():
        try:
            written = write_read.written_again(dataset, revision, evaluation.set.targets, evaluation.context)
        except RemoteError:
            raise
        except FsbenchError as error:
            writer.warnings.append(f"what a codec changes is not known: {error.sentence}")
            return
        index = evaluation.pairs.index
        features[name] = evaluation.extract(record.name, written.crops.select(index))
        if name in writer.of_frames:
            pasted[name] = writer.of_frames[name].extract(record.name, written.regions.select(index))
    writer.add(record, features, pasted=pasted)


def _run_model(built: Built | FsbenchError, splits: Splits, writer: RunWriter) -> None:
    """Train or load a model, let it swap all pairs, measure its outputs and write them."""
    if isinstance(built, FsbenchError):
        raise built
    plan, main = writer.plan, writer.main
    model = prepare_model(built, lambda: splits["train"], plan.budget, plan.seed, main.context)
    swapped: dict[SetName, SwappedPairs] = {}
    features, pasted = dict[SetName, OutputFeatures](), dict[SetName, OutputFeatures]()
    for name, evaluation in writer.evaluations.items():
        swapped[name] = made = swap_all(model, evaluation.pairs, main.context)
        feed, lost = feed_of(model, main.context), made.absent != ""
        features[name] = evaluation.extract(model.label, made.images, feed, made.seconds, lost)
        if writer.stage is not None and name in writer.of_frames:
            pasted[name] = writer.stage.extract(model.label, evaluation, writer.of_frames[name], made)
    record = records.model_record(model, swapped[main.set.name].seconds)
    record = writer.add(record, features, absent={name: made.absent for name, made in swapped.items()}, pasted=pasted)
    writer.folder.write_model(model)
    families = {name: judge.judge.network.info.family for name, judge in main.judges.items()}
    writer.warnings += warn.of_model(model, record, len(main.pairs), families, splits.read)
