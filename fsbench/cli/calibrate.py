"""`fsbench calibrate`: what a judge's cosines mean on a folder of people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job, terminal

if TYPE_CHECKING:
    from fsbench.harness.calibrate import CalibrationResult


def calibrate(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder, PERSON/SESSION/*.jpg or PERSON/*.jpg; or a data set: NAME, NAME(parameter=value).",
        ),
    ],
    judges: Annotated[
        str,
        typer.Option("--judges", "-j", help="Comma-separated recognisers. See: fsbench list embedders."),
    ] = "dlib_resnet",
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels, side of the crops of a folder.")] = 128,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory for calibration.json and calibration.html. Default: no files."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data_root: Annotated[
        Path | None, typer.Option(help="Where named data sets lie. Default: FSBENCH_DATA, or the user data folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what calibration.json holds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Tell how well judges know one person from another, and at which cosine, from real images alone.

    For example:

      fsbench calibrate photos

      fsbench calibrate photos --judges "dlib_resnet,onnx(sface)" --out calibration

    Genuine pairs show one person in two sessions, impostor pairs two people. Where no sessions are known, each image
    counts as one. d' is the distance of the two distributions in standard deviations; TAR is the share of genuine pairs
    that is accepted at the threshold where so many impostor pairs are (FAR).
    """
    from fsbench import names
    from fsbench.cli.progress import stages
    from fsbench.config import parse_device, refuse_repeated
    from fsbench.environment import make_context
    from fsbench.registry import split_list

    typed = job.typed()
    place = job.usable_folder(out) if out is not None else None
    parse_device(device)
    refuse_repeated("judge", split_list(judges))
    names.check_names("embedders", split_list(judges))
    from fsbench.harness.calibrate import calibrate as measure  # brings torch: not before it is needed

    with stages(quiet) as shown:
        context = make_context(device, data_root, shown.stage, shown.log)
        result = measure(data, split_list(judges), context, size=size, command=typed)
        page = _save(result, place) if place is not None else None
    if as_json:
        terminal.say_json(result.model_dump(mode="json", by_alias=True))
        return
    _print(result)
    if page is not None:
        terminal.line(f"report: {page}")


def _save(result: CalibrationResult, folder: Path) -> Path:
    import numpy as np

    from fsbench.harness.calibrate import save
    from fsbench.report.calibration import write

    save(result, folder)
    shares = {name: (np.array(one.genuine), np.array(one.impostor)) for name, one in result.distributions.items()}
    return write(folder, result.dataset, result.judges, shares, result.warnings)


def _print(result: CalibrationResult) -> None:
    from rich.table import Table

    from fsbench.report.calibration import figures

    console = terminal.console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for judge in result.judges:
        table.add_column(terminal.cell(judge.name), justify="right")
    found = [figures(judge.calibration) if judge.calibration is not None else {} for judge in result.judges]
    for heading in dict.fromkeys(heading for cells in found for heading in cells):
        table.add_row(heading, *(terminal.cell(cells.get(heading, "")) for cells in found))
    console.print(table)
    for warning in result.warnings:
        terminal.warn(console, warning)
