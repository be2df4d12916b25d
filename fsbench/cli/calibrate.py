"""`fsbench calibrate`: what a judge's cosines mean on a folder of people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job, options, terminal

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
    judges: options.Judges = None,
    size: options.Size = 128,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory for calibration.json and calibration.html. Default: no files."),
    ] = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what calibration.json holds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    log_format: options.LogFormat = "text",
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
    from fsbench.config import parse_device, refuse_repeated

    command = job.command_line()
    folder = job.usable_folder(out) if out is not None else None
    plan = options.plan(judges=judges, device=device)
    parse_device(plan.device)
    refuse_repeated("judge", plan.judges)
    names.check_names("embedders", plan.judges)
    with job.running(command, quiet=quiet, out=folder) as events:
        import fsbench.harness.calibrate  # brings torch: not before it is needed

        context = events.context(plan.device, data_root)
        result = fsbench.harness.calibrate.calibrate(data, plan.judges, context, size=size, command=command)
        page = _save(result, folder) if folder is not None else None
    if as_json:
        terminal.print_json(result.model_dump(mode="json", by_alias=True))
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
    columns = [figures(judge.calibration) if judge.calibration is not None else {} for judge in result.judges]
    for heading in dict.fromkeys(heading for cells in columns for heading in cells):
        table.add_row(heading, *(terminal.cell(cells.get(heading, "")) for cells in columns))
    console.print(table)
    for warning in result.warnings:
        terminal.warn(console, warning)
