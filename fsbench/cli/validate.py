"""`fsbench validate`: whether metrics measure what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job, terminal

if TYPE_CHECKING:
    from fsbench.validity import Validation


def validate(
    metrics: Annotated[
        str, typer.Option("--metrics", "-m", help="Comma-separated. See: fsbench list metrics. Default: all.")
    ] = "",
    faults: Annotated[
        str,
        typer.Option(
            "--faults", "-f", help="Comma-separated: blur, identity_mix, ...; a wrong name lists them. Default: all."
        ),
    ] = "",
    judges: Annotated[
        str, typer.Option("--judges", "-j", help="Comma-separated recognisers. See: fsbench list embedders.")
    ] = "dlib_resnet",
    observers: job.ObserverFiles = None,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", help="synthetic(parameter=value): the faults are drawn. Default: as the budget has it."
        ),
    ] = "",
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            "-b",
            help="Outputs of each condition: smoke (16), short (30; everything in under 20 minutes on two cores), "
            "full (200; hours).",
        ),
    ] = "short",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory for validation.json and validation.html. "
                     "Default: reports/validation-DATE-TIME."),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Also write the verdicts without their curves to this file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the draws that intervals come from.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
) -> None:
    """Hold metrics against known faults: what each responds to, from which strength on, and what it should ignore.

    Everything; two metrics and two faults in a minute; a metric of your own under two judges:

      fsbench validate

      fsbench validate --metrics id_similarity,gt_psnr --faults blur,identity_mix --budget smoke --out validation

      fsbench validate --metrics my_metric --judges "dlib_resnet,onnx(sface)"

    Exact swaps of synthetic people are made worse by known amounts: blurred, recoloured, moved, turned, mixed with the
    target, replaced by it. A metric should call outputs worse as what it says it measures gets worse, and leave the
    rest alone. Work that is finished is kept in FSBENCH_CACHE: a command that was interrupted goes on.
    """
    from fsbench import names, validity
    from fsbench.cli.progress import stages
    from fsbench.config import parse_device, refuse_repeated
    from fsbench.environment import make_context
    from fsbench.errors import Interrupted
    from fsbench.registry import split_list

    place = job.usable_folder(out or job.default_out("validation"))
    typed = job.typed()
    parse_device(device)
    refuse_repeated("fault", split_list(faults))
    names.check_measures(split_list(metrics), split_list(judges), split_list(observers or ""))
    names.check_names("datasets", split_list(dataset))
    try:
        with stages(quiet) as shown:
            from fsbench.harness import validate as work  # brings torch: not before it is needed

            found = work.validate(
                split_list(metrics), split_list(faults), split_list(judges),
                make_context(device, None, shown.stage, shown.log),
                observers=split_list(observers or ""), dataset=dataset, budget=budget, seed=seed, command=typed,
            )  # fmt: skip
            validity.save(found, place / validity.FILE_NAME)
            if summary is not None:
                validity.save(validity.summary(found), summary, compact=True)
            from fsbench.report.validity import write  # matplotlib: not before it is needed

            page = write(place)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; finished work is kept", f"go on with: {typed}") from None
    if not quiet:
        _print(found)
    terminal.line(f"report: {page}")


def _print(found: Validation) -> None:
    """A row per metric, a column per fault: the same marks as on the page, without numbers where there is no room."""
    from rich.table import Table

    from fsbench.report.responses import MARKS, cell, columns, won

    console = terminal.console(soft_wrap=True)
    faults, rows = columns(found), {one.key: found.of(one.metric.name, one.judge) for one in found.metrics}
    roomy = max(map(len, rows), default=0) + sum(len(fault.name) + 2 for fault in faults) <= console.width
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2 if roomy else 1, 0, 0))
    table.add_column("", vertical="bottom", no_wrap=True)
    for fault in faults:
        table.add_column(terminal.cell(*([fault.name] if roomy else fault.name)), justify="right", vertical="bottom")
    for key, responses in rows.items():
        cells = [cell(responses[fault.name]) for fault in faults]
        table.add_row(terminal.cell(key), *(
            terminal.cell(text if roomy else MARKS[verdict].sign, style=MARKS[verdict].style)
            for verdict, text in cells))  # fmt: skip
    console.print(table)
    console.print(terminal.cell("  ".join(f"{mark.sign} {mark.title}" for mark in MARKS.values()), style="dim"))
    for copy, names in won(found).items():
        console.print(terminal.cell(f"{copy} is at least as good as the exact swap for {', '.join(names)}"))
    for missing in found.unexamined:
        terminal.warn(console, f"{missing.metric} was not examined: {missing.reason}")
    for warning in found.warnings:
        terminal.warn(console, warning)
