"""`fsbench validate`: whether metrics measure what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import job, options, terminal

if TYPE_CHECKING:
    from fsbench.validity import Validation


def validate(
    metrics: Annotated[str | None, typer.Option("--metrics", "-m", help=options.METRICS)] = None,  # -m is free here
    faults: Annotated[
        str,
        typer.Option(
            "--faults", "-f", help="Comma-separated: blur, identity_mix, ...; a wrong name lists them. Default: all."
        ),
    ] = "",
    judges: options.Judges = None,
    observers: options.Observers = None,
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
    out: options.Out = None,
    summary: Annotated[
        Path | None, typer.Option(help="Also write the verdicts, and of the curves what is drawn, to this file.")
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Put the entries of these metrics into the --summary file, or into the verdicts that come with "
            "fsbench, and leave the others as they are. Faults and data set are those of the file.",
        ),
    ] = False,
    seed: options.Seed = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Hold metrics against known faults: what each responds to, from which strength on, and what it should ignore.

    Everything; two metrics and two faults in a minute; a metric of your own under two judges; its entry in reports:

      fsbench validate

      fsbench validate --metrics id_similarity,gt_psnr --faults blur,identity_mix --budget smoke --out validation

      fsbench validate --metrics my_metric --judges "dlib_resnet,onnx(sface)"

      fsbench validate --metrics my_metric --update

    Exact swaps of synthetic people are made worse by known amounts: blurred, recoloured, moved, turned, mixed with the
    target, replaced by it. A metric should call outputs worse as what it says it measures gets worse, and leave the
    rest alone. Work that is finished is kept in FSBENCH_CACHE: a command that was interrupted goes on.
    """
    from fsbench import names, validity
    from fsbench.config import parse_device, refuse_repeated
    from fsbench.errors import UsageError
    from fsbench.specs import split_list

    folder = job.usable_folder(Path(out) if out else job.default_out("validation"))
    command = job.command_line()
    plan = options.plan(metrics=metrics, judges=judges, observers=observers, seed=seed, device=device)
    parse_device(plan.device)
    refuse_repeated("fault", split_list(faults))
    names.check_measures(plan.metrics, plan.judges, plan.observers)
    names.check_names("datasets", split_list(dataset))
    file = summary or validity.SHIPPED
    if update:
        if not plan.metrics:
            raise UsageError("--update puts metrics into a file, and none is named", "name them: --metrics NAME,...")
        base = validity.load(file)
        faults = faults or ",".join(fault.name for fault in base.faults)
        dataset = dataset or base.dataset.spec
        validity.check_settings(file, base, dataset=dataset, faults=split_list(faults), seed=plan.seed, budget=budget)
    with job.running(command, quiet=quiet, out=folder) as events:
        import fsbench.harness.validate  # brings torch: not before it is needed

        validation = fsbench.harness.validate.validate(
            plan.metrics, split_list(faults), plan.judges, events.context(plan.device),
            observers=plan.observers, dataset=dataset, budget=budget, seed=plan.seed, command=command,
        )  # fmt: skip
        validity.save(validation, folder / validity.FILE_NAME)
        if update:
            validity.update(file, validation)
        elif summary is not None:
            validity.save_summary(validation, summary)
        from fsbench.report.validity import write  # matplotlib: not before it is needed

        page = write(folder)
    if not quiet:
        _print(validation)
        if update:
            terminal.line(f"updated: {file}")
    terminal.line(f"report: {page}")


def _print(validation: Validation) -> None:
    """Print a row per metric and a column per fault, with the marks of the page; numbers where there is room."""
    from rich.table import Table

    from fsbench.report.responses import MARKS, cell, columns, won

    console = terminal.console(soft_wrap=True)
    faults = columns(validation)
    rows = {record.key: validation.of(record.metric.name, record.judge) for record in validation.metrics}
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
    for copy, names in won(validation).items():
        console.print(terminal.cell(f"{copy} is at least as good as the exact swap for {', '.join(names)}"))
    for missing in validation.unexamined:
        terminal.warn(console, f"{missing.metric} was not examined: {missing.reason}")
    for warning in validation.warnings:
        terminal.warn(console, warning)
