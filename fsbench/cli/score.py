"""`fsbench score`: outputs that any tool made."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fsbench.cli import job, options
from fsbench.errors import UsageError
from fsbench.specs import quoted

if TYPE_CHECKING:
    from fsbench.config import Plan
    from fsbench.harness.external.face_choice import FaceRule
    from fsbench.harness.external.files import ToolOutputs
    from fsbench.results import RunResult

_PATTERN = "'tools/*'"
_SIZE = 128
READ = f"{__name__}:read"
"""What other processes that share the work read the typed options with."""


def score(
    beside: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="More folders: what the shell makes of --outputs tools/* without quotes."),
    ] = None,
    *,
    outputs: Annotated[
        list[str],
        typer.Option(
            help="Folder of swapped images: DIR, or NAME=DIR to name the tool. May be given more than once; a pattern "
            "in quotes, such as 'tools/*', takes each folder as a tool, and a column 'model' of the table each "
            "sub-folder that it names."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            help="Instead of --target and --source: the data set whose crops the tools were given, as fsbench data "
            "export wrote them; outputs are called SOURCE/TARGET.png as in its pairs.csv. Ground truth is used where "
            "it has one.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(help="Photographs that were swapped into: *.jpg, PERSON/*.jpg or PERSON/SESSION/*.jpg."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Photographs of the people whose faces were used, laid out likewise.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of the pairs that are asked, with the columns output, source and target, and model where it "
            "tells of several tools. Commas, semicolons, tabs or bars between them, UTF-8, UTF-16 or Windows-1252. "
            "Files by path, with or without suffix, or by name alone; a source also by the person's name; no output: "
            "a pair that failed. Default: by the names of the outputs, SOURCE/TARGET.png, SOURCE_TARGET.png or "
            "SOURCE-TARGET.png; TARGET.png where there is one source. With --dataset as in fsbench run: source and "
            "target alone.",
        ),
    ] = None,
    max_pairs: options.MaxPairs = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE=HEADER,...",
            help='How the table calls its columns, such as "output=file, source=person"; those that it calls output, '
            "source, target and model need no mention. A name with a comma stands in quotes.",
        ),
    ] = None,
    missing: Annotated[
        str,
        typer.Option(
            metavar="failure|drop",
            help="What a pair counts as that a tool has no output of: a failure of that tool, or the pair is left out "
            "for all tools (drop), which favours those that fail on the hard ones.",
        ),
    ] = "failure",
    face: Annotated[
        str,
        typer.Option(
            metavar="changed|nearest-to-source|largest",
            help="The face that is measured where a target shows several: the one that most models changed, the one "
            "at whose place an output is most like its source, or the largest and most central.",
        ),
    ] = "changed",
    coach: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FAMILY",
            help="Family of recognisers that a model was trained against, as the report names it under each judge, or "
            "none; FAMILY alone for a single --outputs. A judge of that family is left out of the ranking. May be "
            "given more than once.",
        ),
    ] = None,
    judges: options.Judges = None,
    metrics: options.Metrics = None,
    observers: options.Observers = None,
    gallery: options.Gallery = None,
    size: options.Size = _SIZE,
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
    """Measure images that other tools swapped, and write the report that fsbench run writes.

    One folder, its files called SOURCE_TARGET.png:

      fsbench score --outputs results --target targets --source people

    Five tools, a folder each, and a table that says which output is which:

      fsbench score --outputs 'tools/*' --target targets --source people \\
        --pairs pairs.csv

    A table with a header of its own, one column of which names the tool:

      fsbench score --outputs tools --target targets --source people \\
        --pairs all.csv --columns "output=file,source=person,model=tool"

    What a tool made of synthetic people (fsbench data export synthetic
    crops), against the exact swaps:

      fsbench score --dataset synthetic --outputs mine=results

    What is asked: the pairs of the table; without one, those that any of
    the tools has an output of. What fails: an output that is missing, that
    cannot be read, that has no face, or that is its target unchanged. All
    of these are counted beside each tool, in result.json and in scores.csv,
    and so is every file that was not used, with the reason.

    What is measured: an output that shows the whole frame of its target is
    cut exactly as the target is, any other by the face in it. Of a target
    with several faces the one that the tools changed counts (--face). Two
    baselines stand beside (--no-baselines leaves them out): the target and
    the source as they are.

    A tool of which nothing can be used is a row with its reason; the others
    are measured, and the exit code is 1.
    """
    if resume and out is None:
        raise UsageError("--resume needs --out DIR, the directory of the score to go on with")
    from fsbench.executors import Execution

    execution = Execution.of(executor, workers, ray_address, device)
    plan = options.plan(
        metrics=metrics, judges=judges, observers=observers, gallery=gallery, baselines=baselines, seed=seed,
        device=execution.device, precision=precision,
    )  # fmt: skip
    typed: dict[str, Any] = {
        "outputs": outputs, "dataset": dataset, "target": target, "source": source, "beside": beside, "pairs": pairs,
        "max_pairs": max_pairs, "columns": columns, "missing": missing, "face": face, "coach": coach, "size": size,
    }  # fmt: skip
    measure = read(plan, **typed)
    command = job.command_line()
    if execution.rank:
        with job.running(command, quiet=quiet) as events:
            execution.follow(measure, plan, events.context(execution.device_of(plan), data_root))
        return
    with job.results_folder(out or job.default_out("score"), quiet=quiet) as folder:
        again = job.resumed(folder)
        with job.running(again, quiet=quiet) as events:
            context = events.context(execution.device_of(plan), data_root)
            members = execution.share(plan, context, READ, typed)
            result = measure(out=folder, context=context, command=command, resume=resume, members=members)
        job.conclude(result, folder, again, quiet=quiet, verbose=verbose)


def read(
    plan: Plan,
    outputs: Sequence[str],
    dataset: str | None = None,
    target: str | Path | None = None,
    source: str | Path | None = None,
    beside: Sequence[str] | None = None,
    pairs: str | Path | None = None,
    max_pairs: int | None = None,
    columns: str | None = None,
    missing: str = "failure",
    face: str = "changed",
    coach: Sequence[str] | None = None,
    size: int = _SIZE,
) -> Callable[..., RunResult]:
    """Read what was typed; returns what measures it, given `out`, `context`, `command` and `resume`.

    Raises UsageError for what does not exist or does not agree, before any work.
    """
    from fsbench import names
    from fsbench.config import parse_device

    target, source, pairs = (None if path is None else Path(path) for path in (target, source, pairs))
    parse_device(plan.device)
    names.check_measures(plan.metrics, plan.judges, plan.observers)
    if missing not in ("failure", "drop"):
        raise UsageError(f"--missing {missing} is not known", "write --missing failure, or --missing drop")
    if face not in ("changed", "nearest-to-source", "largest"):
        raise UsageError(f"--face {face} is not known", "write --face changed, nearest-to-source or largest")
    if max_pairs is not None and dataset is None:
        raise UsageError(
            "--max-pairs needs --dataset", "of photographs, name some of the pairs in a table: --pairs CSV"
        )
    if columns and pairs is None:
        raise UsageError("--columns needs --pairs CSV, whose columns it names")
    inputs = {"source": source, "target": target, "pairs": pairs, "columns": columns,
              "missing": missing if missing == "drop" else "", "face": face if face != "changed" else "",
              "size": size if dataset is None or size != _SIZE else ""}  # fmt: skip
    typed = {name: value for name, value in inputs.items() if value}
    if dataset is None and (target is None or source is None):
        raise UsageError(
            f"--{'source' if target else 'target'} is missing",
            "say what was swapped into what: --target DIR --source DIR, or --dataset NAME",
        )
    if dataset is not None and (clashing := [name for name in typed if name != "pairs"]):
        raise UsageError(
            f"--{clashing[0]} does not go with --dataset, which knows sources and targets", "leave one out"
        )
    tools = _find(outputs, beside or [])
    coaches = _coaches(coach or [], [tool.name for tool in tools])
    if dataset is not None:
        from fsbench.harness.external.exported import ExportedOutputs  # brings torch: not before names are known
        from fsbench.harness.run import run

        exported = ExportedOutputs(tools, coaches)
        plan = exported.plan(options.plan(plan, dataset=dataset, pairs=pairs, max_pairs=max_pairs))
        names.check(plan)
        return partial(run, plan, exported=exported)
    from fsbench.harness.external.table import parse_columns
    from fsbench.harness.score import score as score_photographs

    plan = options.plan(
        plan,
        dataset=",".join(f"{key}={quoted(str(value), ',()=')}" for key, value in typed.items()),
        models=tuple(f"{tool.name}={tool.folder}" for tool in tools),
    )
    return partial(
        score_photographs, tools, cast(Path, source), cast(Path, target), plan, coaches=coaches, table=pairs,
        columns=parse_columns(columns) if columns else None, missing="drop" if missing == "drop" else "failure",
        face=cast("FaceRule", face), size=size,
    )  # fmt: skip


def _find(texts: Sequence[str], beside: Sequence[str]) -> list[ToolOutputs]:
    """The folders that --outputs names, one by one, by patterns, or by one that the shell has written out."""
    tools: list[ToolOutputs] = []
    for k, text in enumerate(texts):
        if beside and k == len(texts) - 1:
            tools += _tools(text, _written_out(text, beside))
        elif os.path.exists(text) or not glob.has_magic(text):
            tools.append(_outputs(text))
        else:
            tools += _tools(text, sorted(glob.glob(text)))
    return tools


def _written_out(first: str, others: Sequence[str]) -> list[str]:
    """What the shell made of a pattern without quotes; raises UsageError for arguments that are nothing of the kind."""
    for other in others:
        if not os.path.exists(other) or Path(other).parent != Path(first).parent:
            raise UsageError(
                f"{other} belongs to no option",
                f"where it comes from a pattern, put that in quotes: --outputs {_PATTERN}; no other option takes one",
            )
    return [first, *others]


def _tools(text: str, paths: list[str]) -> list[ToolOutputs]:
    """Each folder as a tool; what else a pattern names is unused beside the first. Raises UsageError for no folder."""
    from fsbench.files import MADE, gather, is_machine_made

    made = {path for path in paths if is_machine_made(Path(path).name)}
    folders = [path for path in paths if os.path.isdir(path) and path not in made]
    if not folders:
        raise UsageError(f"--outputs {text} names no folder", f"a pattern such as {_PATTERN} names folders of images")
    left = [
        (MADE if path in made else "no folder, so no tool", Path(path).name + "/" * os.path.isdir(path))
        for path in paths
        if path not in folders
    ]
    first, *others = map(_outputs, folders)
    where = Path(paths[0]).absolute().parent.name
    return [replace(first, unused=(*first.unused, *gather(where, left))), *others]


def _outputs(text: str) -> ToolOutputs:
    """Read DIR or NAME=DIR; a folder whose own name has `=` wins."""
    from fsbench.harness.external.files import ToolOutputs

    name, sign, path = text.partition("=")
    folder = Path(text) if Path(text).is_dir() or not sign else Path(path)
    return ToolOutputs.find(name if sign and folder == Path(path) else folder.absolute().name, folder)


def _coaches(texts: Sequence[str], models: list[str]) -> dict[str, list[str]]:
    """Read NAME=FAMILY, or FAMILY where there is one model; raises UsageError."""
    coaches: dict[str, list[str]] = {}
    for text in texts:
        name, _, family = text.rpartition("=")
        if not family or not (name or len(models) == 1):
            raise UsageError(
                f"--coach {text} does not say which family which model was trained against",
                f"write --coach {models[0]}=FAMILY",
            )
        coaches.setdefault(name or models[0], []).append(family)
    return coaches
