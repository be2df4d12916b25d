"""`fsbench score`: outputs that any tool made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job

if TYPE_CHECKING:
    from fsbench.harness.outputs import Outputs

Text = str | None


def score(
    outputs: Annotated[
        list[str],
        typer.Option(
            help="Folder of swapped images: DIR, or NAME=DIR to name the model. May be given more than once; a pattern "
            "in quotes, such as 'tools/*', takes each sub-folder as a model."
        ),
    ],
    target: Annotated[
        Path, typer.Option(help="Photographs that were swapped into: *.jpg, PERSON/*.jpg or PERSON/SESSION/*.jpg.")
    ],
    source: Annotated[Path, typer.Option(help="Photographs of the people whose faces were used, laid out likewise.")],
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table with the columns output, source and target, and model where it tells of several: which is "
            "which. Its pairs are asked of every model. Default: by the names of the "
            "outputs, SOURCE/TARGET.png, SOURCE_TARGET.png or SOURCE-TARGET.png; TARGET.png where there is one source.",
        ),
    ] = None,
    columns: Annotated[
        Text,
        typer.Option(
            metavar="ROLE=HEADER,...",
            help='How the table calls its columns, such as "output=file,source=person,target=original,model=tool".',
        ),
    ] = None,
    missing: Annotated[
        str,
        typer.Option(
            metavar="failure|drop",
            help="An output that is asked and not there: a failure of its model, or the pair is left out for all.",
        ),
    ] = "failure",
    coach: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FAMILY",
            help="Family of recognisers that a model was trained against, as the report names it under each judge, or "
            "none; FAMILY alone for a single --outputs. A judge of that family is left out of the ranking. May be "
            "given more than once.",
        ),
    ] = None,
    judges: Annotated[
        Text,
        typer.Option(
            "--judges", "-j",
            help="Comma-separated recognisers that judge identity. See: fsbench list embedders. Default: dlib_resnet.",
        ),
    ] = None,
    metrics: Annotated[Text, typer.Option(help="Comma-separated. See: fsbench list metrics. Default: all.")] = None,
    observers: job.ObserverFiles = None,
    gallery: Annotated[
        Text,
        typer.Option(help="A folder of other people (PERSON/*.jpg): more faces that an output could be taken for."),
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels, side of the crops that are compared.")] = 128,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New directory for results. Default: reports/score-DATE-TIME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted score in --out.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of intervals and maps. Default: 0.")] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda or cuda:N. Default: auto.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
    verbose: job.Verbose = False,
) -> None:
    """Measure images that another tool swapped, and write the same report as fsbench run.

    For example:

      fsbench score --outputs simswap=results --target targets --source people

      fsbench score --outputs 'tools/*' --target targets --source people --pairs pairs.csv

    Full frames, of the size of their target, are cut exactly as the target is; other images by the face in them.
    Without a table the pairs are those that any model has an output of. An output that is missing, cannot be read, has
    no face or is its target unchanged counts as a failure of its model; files that are not used are counted by reason.
    Two baselines stand beside: the target and the source as they are.
    """
    from fsbench import names
    from fsbench.config import make_plan, parse_device
    from fsbench.errors import UsageError
    from fsbench.registry import split_list

    if resume and out is None:
        raise UsageError("--resume needs --out DIR, the directory of the score to go on with")
    parse_device(device if device is not None else "auto")
    names.check_measures(split_list(metrics or ""), split_list(judges or ""), split_list(observers or ""))
    if missing not in ("failure", "drop"):
        raise UsageError(f"--missing {missing} is not known", "write --missing failure, or --missing drop")
    if columns and pairs is None:
        raise UsageError("--columns needs --pairs CSV, whose columns it names")
    mapped = None
    if columns:
        from fsbench.harness.table import parse_columns  # brings torch: not before names are known

        mapped = parse_columns(columns)
    found = [_outputs(text) for pattern in outputs for text in _expand(pattern)]
    coaches = _coaches(coach or [], [one.name for one in found])
    given: dict[str, object] = {
        "metrics": tuple(split_list(metrics)) if metrics is not None else None,
        "judges": tuple(split_list(judges)) if judges is not None else None,
        "observers": tuple(split_list(observers)) if observers is not None else None,
        "gallery": gallery,
        "seed": seed,
        "device": device,
    }
    plan = make_plan(
        {"dataset": f"source={source},target={target}" + (f",pairs={pairs}" if pairs else "")
         + (f",columns={columns}" if columns else "")
         + (",missing=drop" if missing == "drop" else "") + f",size={size}",
         "models": tuple(f"{one.name}={one.folder}" for one in found)}
        | {key: value for key, value in given.items() if value is not None}, "--")
    from fsbench.harness import score as measure  # brings torch: not before the plan can be read

    place = job.usable_folder(out or job.default_out("score"))
    job.execute(
        lambda context, command: measure.score(
            found, source, target, plan, place, context, coaches=coaches, table=pairs, columns=mapped,
            missing="drop" if missing == "drop" else "failure", size=size, command=command, resume=resume),
        place, device=plan.device, resume=resume, quiet=quiet, verbose=verbose)


def _expand(text: str) -> list[str]:
    """Each folder that a pattern such as tools/* names; raises UsageError where it names none."""
    import glob

    from fsbench.errors import UsageError
    from fsbench.files import is_machine_made

    if Path(text).exists() or not glob.has_magic(text):
        return [text]
    found = [path for path in sorted(glob.glob(text)) if Path(path).is_dir() and not is_machine_made(Path(path).name)]
    if not found:
        raise UsageError(f"--outputs {text} names no folder", "a pattern such as 'tools/*' names folders of images")
    return found


def _outputs(text: str) -> Outputs:
    """Read DIR or NAME=DIR; a folder whose own name has `=` wins."""
    from fsbench.harness.outputs import Outputs

    name, sign, path = text.partition("=")
    folder = Path(text) if Path(text).is_dir() or not sign else Path(path)
    return Outputs.find(name if sign and folder == Path(path) else folder.absolute().name, folder)


def _coaches(texts: list[str], models: list[str]) -> dict[str, list[str]]:
    """Read NAME=FAMILY, or FAMILY where there is one model; raises UsageError."""
    from fsbench.errors import UsageError

    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, family = text.rpartition("=")
        if not family or not (name or len(models) == 1):
            raise UsageError(f"--coach {text} does not say which family which model was trained against",
                             f"write --coach {models[0]}=FAMILY")
        found.setdefault(name or models[0], []).append(family)
    return found
