"""`fsbench run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job

if TYPE_CHECKING:
    from fsbench.interfaces import Context
    from fsbench.results import RunResult

Text = str | None


def run(
    models: Annotated[
        Text,
        typer.Option(
            "--models",
            "-m",
            help="Comma-separated: NAME, NAME(parameter=value), NAME@WEIGHTS, SWAPPER+PART. "
            "See: fsbench list models. Default: gan_mask,cyclegan.",
        ),
    ] = None,
    dataset: Annotated[
        Text,
        typer.Option(
            "--dataset",
            "-d",
            help="NAME, NAME(parameter=value) or folder:PATH. See: fsbench list datasets. Default: synthetic.",
        ),
    ] = None,
    metrics: Annotated[Text, typer.Option(help="Comma-separated. See: fsbench list metrics. Default: all.")] = None,
    judges: Annotated[
        Text,
        typer.Option(
            "--judges",
            "-j",
            help="Comma-separated recognisers that judge identity: NAME, NAME@WEIGHTS, onnx(FILE). Two or more that no "
            "model was trained against make a headline. See: fsbench list embedders. Default: dlib_resnet.",
        ),
    ] = None,
    observers: job.ObserverFiles = None,
    gallery: Annotated[
        Text,
        typer.Option(help="A folder of other people (PERSON/*.jpg): more faces that an output could be taken for."),
    ] = None,
    budget: Annotated[
        Text,
        typer.Option(
            "--budget",
            "-b",
            help="How long to train each model: smoke (seconds, tests the plumbing), short (about three minutes on "
            "two cores), full (what the authors did; wants a GPU), 2000 (steps) or 180s (seconds). "
            "Default: short on a CPU, full on a GPU.",
        ),
    ] = None,
    suite: Annotated[
        Path | None, typer.Option(help="A TOML file that says all of the above; options typed here win.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New directory for results. Default: reports/DATASET-DATE-TIME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
    baselines: Annotated[
        bool | None,
        typer.Option(
            "--baselines/--no-baselines",
            help="Add copy_target, copy_source, alpha_paste and exact to the table. Default: add them.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of training and of intervals. Default: 0.")] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda or cuda:N. Default: auto.")] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Where named data sets lie. Default: FSBENCH_DATA, or the user data folder.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
    verbose: job.Verbose = False,
) -> None:
    """Train or load models, let each swap the same faces, measure the outputs, and write a report.

    Two models on synthetic people; your own photographs (PERSON/SESSION/*.jpg); everything in a minute:

      fsbench run

      fsbench run --models gan_mask --dataset folder:photos

      fsbench run --budget smoke

    Work that is finished (rendered images, trained models, features) is kept in FSBENCH_CACHE and never done twice.
    """
    from fsbench import names
    from fsbench.config import Plan, load_suite, make_plan
    from fsbench.errors import UsageError
    from fsbench.registry import split_list

    given = {
        "models": tuple(split_list(models)) if models is not None else None,
        "metrics": tuple(split_list(metrics)) if metrics is not None else None,
        "judges": tuple(split_list(judges)) if judges is not None else None,
        "observers": tuple(split_list(observers)) if observers is not None else None,
        "gallery": gallery,
        "dataset": dataset,
        "budget": budget,
        "seed": seed,
        "device": device,
        "baselines": baselines,
    }
    if resume and out is None:
        raise UsageError(
            "--resume needs --out DIR, the directory of the run to go on with",
            "without both, a new run starts, and finished work comes from the cache all the same",
        )
    base = load_suite(suite) if suite else Plan()
    plan = make_plan(base.model_dump() | {key: value for key, value in given.items() if value is not None}, "--")
    names.check(plan)
    place = job.usable_folder(out or job.default_out(plan.dataset.partition(":")[0].partition("(")[0]))

    def work(context: Context, command: str) -> RunResult:
        from fsbench.harness.run import run  # brings torch: not before the plan can be read

        return run(plan, place, context, command=command, resume=resume)

    job.execute(work, place, device=plan.device, data_root=data_root, resume=resume, quiet=quiet,
                verbose=verbose)
