"""`fsbench calibrate`: what a judge's cosines mean on a folder of people."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from fsbench.cli.progress import stages
    from fsbench.environment import make_context
    from fsbench.harness import calibrate as measure
    from fsbench.registry import split_list

    with stages(quiet) as shown:
        context = make_context(device, data_root, shown.stage, shown.log)
        command = shlex.join(["fsbench", *sys.argv[1:]])
        result = measure.calibrate(data, split_list(judges), context, size=size, command=command)
        page = _save(result, out) if out is not None else None
    if as_json:
        typer.echo(result.model_dump_json(by_alias=True, indent=1))
        return
    _print(result)
    if page is not None:
        typer.echo(f"report: {page}")


def _save(result: CalibrationResult, folder: Path) -> Path:
    import numpy as np

    from fsbench.harness.calibrate import save
    from fsbench.report.calibration import write

    save(result, folder)
    shares = {name: (np.array(one.genuine), np.array(one.impostor)) for name, one in result.distributions.items()}
    return write(folder, result.dataset, result.judges, shares, result.warnings)


def _print(result: CalibrationResult) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from fsbench.report.calibration import figures

    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for judge in result.judges:
        table.add_column(Text(judge.name), justify="right")
    found = [figures(judge.calibration) if judge.calibration is not None else {} for judge in result.judges]
    for heading in dict.fromkeys(heading for cells in found for heading in cells):
        table.add_row(heading, *(Text(cells.get(heading, "")) for cells in found))
    console.print(table)
    for warning in result.warnings:
        console.print(f"[yellow]![/yellow] {escape(warning)}")
