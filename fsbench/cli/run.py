"""`fsbench run`: the main job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fsbench.cli import job, options
from fsbench.cli import suite as suites


def run(
    models: options.Models = None,
    dataset: options.Dataset = None,
    metrics: options.Metrics = None,
    judges: options.Judges = None,
    observers: options.Observers = None,
    gallery: options.Gallery = None,
    stage: options.Stage = None,
    preset: options.Preset = None,
    pairs: options.WantedPairs = None,
    max_pairs: options.MaxPairs = None,
    budget: options.Budget = None,
    suite: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file that says all of the above, or many experiments, each with a question that the report "
            "answers (benchmarks/notes.toml); options typed here win."
        ),
    ] = None,
    out: options.Out = None,
    resume: options.Resume = False,
    baselines: options.Baselines = None,
    seed: options.Seed = None,
    device: options.Devices = None,
    precision: options.Precision = None,
    executor: options.Executor = None,
    workers: options.Workers = None,
    ray_address: options.RayAddress = None,
    data_root: options.DataRoot = None,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = "text",
    verbose: options.Verbose = False,
) -> None:
    """Train or load models, let each swap the same faces, measure the outputs, and write a report.

    Two models on synthetic people; your own photographs (PERSON/SESSION/*.jpg); everything in four minutes:

      fsbench run

      fsbench run --models gan_mask --dataset folder:photos

      fsbench run --budget smoke

    Work that is finished (rendered images, trained models, features) is kept in FSBENCH_CACHE and never done twice.
    """
    from fsbench import names
    from fsbench.config import Suite, load_suite
    from fsbench.errors import UsageError
    from fsbench.executors import Execution

    execution = Execution.of(executor, workers, ray_address, device)
    if resume and out is None:
        raise UsageError(
            "--resume needs --out DIR, the directory of the run to go on with",
            "without both, a new run starts, and finished work comes from the cache all the same",
        )
    typed = {
        "models": models, "dataset": dataset, "metrics": metrics, "judges": judges, "observers": observers,
        "gallery": gallery, "stage": stage, "preset": preset, "pairs": pairs, "max_pairs": max_pairs,
        "budget": budget, "baselines": baselines, "seed": seed,
        "device": execution.device, "precision": precision,
    }  # fmt: skip
    base = load_suite(suite) if suite else None
    if isinstance(base, Suite):
        experiments = suites.with_options(base, **typed)
        plans = [experiment.plan for experiment in experiments.experiments]
    else:
        plan = options.plan(base, **typed)
        names.check(plan)
        plans = [plan]
    if execution.rank:
        for plan in plans:
            with job.running(job.command_line(), quiet=quiet) as events:
                from fsbench.harness.run import run as run_plan  # brings torch

                context = events.context(execution.device_of(plan), data_root)
                execution.follow(partial(run_plan, plan, strict=len(plans) == 1), plan, context)
        return
    if isinstance(base, Suite):
        with job.results_folder(out or job.default_out(base.name), quiet=quiet) as folder:
            suites.run(experiments, folder, data_root, execution, resume=resume, quiet=quiet, verbose=verbose)
        return
    label = plan.dataset.partition(":")[0].partition("(")[0]
    with job.results_folder(out or job.default_out(label), quiet=quiet) as folder:
        command, again = job.command_line(), job.resumed(folder)
        with job.running(again, quiet=quiet) as events:
            from fsbench.harness.run import run as run_plan  # brings torch: not before the plan can be read

            context = events.context(execution.device_of(plan), data_root)
            members = execution.share(plan, context)
            result = run_plan(plan, folder, context, command=command, resume=resume, members=members)
        job.conclude(result, folder, again, quiet=quiet, verbose=verbose)
