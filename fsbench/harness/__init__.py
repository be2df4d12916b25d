"""The main job: pairs, models, outputs, features, values, files. Imported only when something runs."""

from __future__ import annotations

import time
from pathlib import Path

from fsbench import environment, results
from fsbench.config import BASELINES, Plan, parse_budget
from fsbench.errors import Interrupted, OutputError, PluginError, UsageError
from fsbench.harness import records, recursion
from fsbench.harness.bench import Assessed, Panel, assess, conclude, prepare
from fsbench.harness.folder import RunFolder
from fsbench.harness.gallery import gather
from fsbench.harness.generate import swap_all
from fsbench.harness.models import Built, build, check_budget, prepare_model
from fsbench.harness.pairs import make_pairs
from fsbench.harness.scoring import Passes
from fsbench.interfaces import Context, Faces, Split


def run(plan: Plan, out: Path, context: Context, *, command: str = "", resume: bool = False) -> results.RunResult:
    """Do what a plan says and leave the files of `fsbench.results` in `out`; raises FsbenchError.

    Whatever can be wrong with the plan is found before the first image is made. All costly steps are cached by content:
    after an interruption, or with another metric, only what is missing is computed.
    """
    started = time.monotonic()
    built, panel = check(plan, context), Panel.of(plan, context)
    folder = RunFolder(out)
    folder.check(plan, resume)
    dataset = environment.build_dataset(plan.dataset, context)

    used: dict[Split, Faces] = {"test": dataset.faces("test")}
    if (strangers := gather(dataset, used["test"], plan.gallery, context)) is not None:
        used["gallery"] = strangers
    pairs = make_pairs(dataset, used["test"])
    bench = prepare(plan, panel, pairs, used["test"], used.get("gallery"), context)
    folder.begin(plan)
    context.log(f"results go to {out}")
    folder.write_inputs(pairs)
    warnings = records.data_warnings(dataset, used["test"], used.get("gallery"))

    def train_split() -> Faces:
        if "train" not in used:  # read only where a model is trained
            used["train"] = dataset.faces("train")
        return used["train"]

    families = {judge.name: judge.embedder.info.family for judge in panel.judges}
    done: list[Assessed] = []
    failed: dict[str, Exception] = {}
    fed_back = {}
    for pipeline in plan.pipelines():
        parts = built.pop(str(pipeline))
        if isinstance(parts, Built) and parts.needs_truth and any(group.truth is None for group in pairs.groups):
            if pipeline.label in plan.models:
                warnings.append(f"{pipeline.label} is left out: {dataset.info.name} does not know the exact swaps")
            continue
        try:
            if isinstance(parts, PluginError):
                raise parts
            model = prepare_model(parts, train_split, plan.budget, plan.seed, context)
            outputs, seconds = swap_all(model, pairs, context)
            passes = recursion.feed_back(bench, model, outputs, seconds)
            done.append(assess(bench, records.model_record(model, seconds), outputs, folder, passes))
            if isinstance(passes, Passes):
                fed_back[model.label] = passes
            folder.write_model(model)
        except (OutputError, Interrupted):  # of the disk and of the user, not of the model
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the others are measured
            failed[str(pipeline)] = error
            warnings.append(f"{pipeline.label} {folder.write_error(pipeline.label, error)}")
            context.log(warnings[-1])
            continue
        warnings += records.model_warnings(model, done[-1].record, len(pairs), families, used)
    if not done and failed:
        raise next(iter(failed.values()))
    if not done:
        raise UsageError("no model is left to run", f"{dataset.info.name} does not know the exact swaps: name a model")
    recursion.write(bench, folder, fed_back)
    record = records.dataset_record(plan.dataset, dataset.info, used)
    lost = [records.failed_model(pipeline, failed[str(pipeline)]) for pipeline in plan.pipelines()
            if str(pipeline) in failed]
    return conclude(
        bench, done, folder, record, used, command=command, started=started, warnings=warnings, failed=lost
    )


def check(plan: Plan, context: Context) -> dict[str, Built | PluginError]:
    """Raise UsageError for whatever in a plan does not exist or cannot be read; return the models, built.

    Of a model whose plug-in is at fault the reason is returned, and the run goes on without it. Raises PluginError
    where that is true of all models but baselines.
    """
    if plan.budget != "auto":
        parse_budget(plan.budget)
    if not plan.pipelines():
        raise UsageError("no model to run", "name one with --models; see: fsbench list models")
    models: dict[str, Built | PluginError] = {}
    for pipeline in plan.pipelines():
        try:
            models[str(pipeline)] = built = build(pipeline, context)
            check_budget(built, plan.budget, plan.seed, context)
        except PluginError as error:
            models[str(pipeline)] = error
    named = [models[str(pipeline)] for pipeline in plan.pipelines() if pipeline.label not in BASELINES]
    faults = [model for model in named if isinstance(model, PluginError)]
    if faults and len(faults) == len(named):  # nothing is left but baselines
        raise faults[0]
    return models
