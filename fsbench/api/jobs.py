"""`fsbench.run` and `fsbench.score`: what the commands of these names do."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fsbench import guard, names
from fsbench.api.runs import Run
from fsbench.choices import LogFormat
from fsbench.cli import job
from fsbench.cli import score as scoring
from fsbench.cli.progress import listened
from fsbench.config import Plan, Suite, load_suite, plan_of
from fsbench.errors import UsageError
from fsbench.executors import Execution
from fsbench.results import RunResult

if TYPE_CHECKING:
    from fsbench.interfaces import Context  # brings torch

PathText = str | os.PathLike[str]
Names = str | Sequence[str]
"""One text with commas between the entries, as on the command line, or a list of them."""


def run(
    models: Names | None = None,
    dataset: str | None = None,
    *,
    metrics: Names | None = None,
    judges: Names | None = None,
    observers: Names | None = None,
    gallery: PathText | None = None,
    stage: str | None = None,
    preset: str | None = None,
    pairs: PathText | None = None,
    max_pairs: int | None = None,
    budget: str | None = None,
    suite: PathText | None = None,
    out: PathText | None = None,
    resume: bool = False,
    baselines: bool | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    executor: str | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    data_root: PathText | None = None,
    quiet: bool = True,
    log_format: LogFormat = "text",
    verbose: bool = False,
) -> Run:
    """Train or load models, let each swap the same faces, measure the outputs, and write a report.

    The arguments are the options of `fsbench run`, whose help tells what each takes; None is the default of the command
    line, and `suite` a file with the fields of one run. Lists may be one text: `judges="dlib_resnet,onnx(sface)"`. The
    files go to `out`, by default a new folder below `reports`. Nothing is printed unless `quiet` is False; another
    process can watch the folder all the same (`fsbench status`).

    A model that fails is in the result with its reason, and the others are measured. Raises UsageError for what does
    not exist or cannot be read, before any work, and what else `fsbench.errors` holds; its text says what to do.
    """
    given = dict(locals())
    execution = _execution(executor, workers, ray_address, device)
    if resume and out is None:
        raise UsageError("resume needs out, the folder of the run to go on with", "name it: out=DIR")
    base = load_suite(Path(suite)) if suite is not None else None
    if isinstance(base, Suite):
        raise UsageError(
            f"{base.name} is a suite of {len(base.experiments)} experiments, each a run of its own",
            f"run it with: fsbench run --suite {os.fspath(suite or '')}, and load the folder of one with fsbench.load",
        )
    plan = plan_of(
        base, models=models, dataset=dataset, metrics=metrics, judges=judges, observers=observers, gallery=gallery,
        stage=stage, preset=preset, pairs=pairs, max_pairs=max_pairs, budget=budget, baselines=baselines, seed=seed,
        device=execution.device, precision=precision,
    )  # fmt: skip
    names.check(plan)

    from fsbench.harness.run import run as run_plan  # brings torch: not before names are known

    measure = partial(run_plan, plan, command=_call("run", given), resume=resume)
    given["out"] = out or job.default_out(plan.dataset.partition(":")[0].partition("(")[0])
    return _finished(measure, plan, partial(execution.share, plan), "run", given)


def score(
    outputs: PathText | Sequence[PathText] | Mapping[str, PathText],
    target: PathText | None = None,
    source: PathText | None = None,
    *,
    dataset: str | None = None,
    pairs: PathText | None = None,
    max_pairs: int | None = None,
    columns: Mapping[str, str] | str | None = None,
    missing: str = "failure",
    face: str = "changed",
    coach: Mapping[str, Names] | Names | None = None,
    judges: Names | None = None,
    metrics: Names | None = None,
    observers: Names | None = None,
    gallery: PathText | None = None,
    size: int = 128,
    out: PathText | None = None,
    resume: bool = False,
    baselines: bool | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    executor: str | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    data_root: PathText | None = None,
    quiet: bool = True,
    log_format: LogFormat = "text",
    verbose: bool = False,
) -> Run:
    """Measure images that other tools swapped, and write the report that `run` writes.

    The arguments are the options of `fsbench score`, whose help tells what each takes. `outputs` is a folder, several,
    or `{NAME: FOLDER}`; `coach` is `{NAME: FAMILY}`, or the families of the only tool, and `columns` is
    `{ROLE: HEADER}`. Errors as in `run`.
    """
    given = dict(locals())
    execution = _execution(executor, workers, ray_address, device)
    if resume and out is None:
        raise UsageError("resume needs out, the folder of the score to go on with", "name it: out=DIR")
    plan = plan_of(
        metrics=metrics, judges=judges, observers=observers, gallery=gallery, baselines=baselines, seed=seed,
        device=execution.device, precision=precision,
    )  # fmt: skip
    if isinstance(columns, Mapping):
        columns = ",".join(f"{role}={_quoted(header)}" for role, header in columns.items())
    typed: dict[str, Any] = {
        "outputs": _texts(outputs), "dataset": dataset, "target": _path(target), "source": _path(source),
        "pairs": _path(pairs), "max_pairs": max_pairs, "columns": columns, "missing": missing, "face": face,
        "coach": _texts(coach or ()), "size": size,
    }  # fmt: skip
    measure = partial(scoring.read(plan, **typed), command=_call("score", given), resume=resume)
    given["out"] = out or job.default_out("score")
    return _finished(measure, plan, partial(execution.share, plan, read=scoring.READ, typed=typed), "score", given)


def _execution(executor: str | None, workers: int | None, ray_address: str | None, device: str | None) -> Execution:
    execution = Execution.of(executor, workers, ray_address, device)
    if execution.executor == "ranks":
        raise UsageError("executor='ranks' is for the command line: start fsbench with torchrun or srun")
    return execution


def _finished(
    measure: Callable[..., RunResult],
    plan: Plan,
    members: Callable[[Context], AbstractContextManager[object] | None],
    name: str,
    given: Mapping[str, Any],
) -> Run:
    """Measure into the folder `out` of the arguments of a call, and write the report."""
    if given["log_format"] not in get_args(LogFormat):
        raise UsageError(f"log_format {given['log_format']!r} is not known", 'it is "text" or "json"')
    quiet, again = given["quiet"], _call(name, given, more=["resume=True"])
    with (
        job.results_folder(given["out"], quiet=quiet) as folder,
        listened(quiet, given["log_format"] == "json", again) as events,
        guard.unchanged(),
    ):
        context = events.context(plan.device, _path(given["data_root"]))
        result = measure(out=folder, context=context, members=members(context))
        page, fault = job.write_report(folder)
    if not quiet:
        from fsbench.cli.summary import print_summary

        print_summary(result, verbose=given["verbose"])
    if page is None:
        warnings.warn(f"the report could not be written ({fault}); the numbers are in {folder}", stacklevel=3)
    return Run(folder)


def _texts(given: PathText | Sequence[PathText] | Mapping[str, Any]) -> list[str]:
    """What is typed for an option that may be given more than once: VALUE, or NAME=VALUE."""
    if isinstance(given, Mapping):
        return [f"{name}={value}" for name, values in given.items() for value in _texts(values)]
    return [os.fspath(given)] if isinstance(given, str | os.PathLike) else [os.fspath(value) for value in given]


def _path(given: PathText | None) -> Path | None:
    return None if given is None else Path(given)


def _quoted(header: str) -> str:
    from fsbench.specs import quoted

    return quoted(header, ",=")


def _call(name: str, given: Mapping[str, object], more: Sequence[str] = ()) -> str:
    """The call as results keep it, without arguments that say nothing, and `more` arguments."""
    shown = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}
    left_out = ("quiet", "log_format", "verbose", "resume")
    arguments = [f"{key}={value!r}" for key, value in shown.items() if value is not None and key not in left_out]
    return f"fsbench.{name}({', '.join([*arguments, *more])})"
