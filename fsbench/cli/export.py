"""`fsbench export`: the numbers of a run for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.cli import options, terminal
from fsbench.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from fsbench.results import RunResult


class Format(StrEnum):
    """What a run can be written as."""

    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"
    xlsx = "xlsx"
    mlflow = "mlflow"
    tensorboard = "tensorboard"


def export(
    folder: options.RunFolder,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="md, latex: models by headline metrics; csv, json: every value; xlsx: a workbook of both; mlflow, "
            "tensorboard: what these show, where they are installed.",
        ),
    ] = Format.md,
    metrics: Annotated[
        str | None,
        typer.Option(help="Of md and latex, comma-separated: METRIC or METRIC@JUDGE. Default: the headline."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="The file; of mlflow a tracking URI, of tensorboard a folder. Default of text: standard output.",
        ),
    ] = None,
) -> None:
    """Write the numbers of a finished run for documents, spreadsheets, scripts and experiment trackers.

    For example:

      fsbench export reports/monday --format latex --metrics id_similarity,kid

      fsbench export reports/monday --format xlsx --out monday.xlsx

      fsbench export reports/monday --format mlflow --out sqlite:///mlflow.db
    """
    from fsbench import results
    from fsbench.store import write_text

    result = results.load(folder)
    if metrics and form not in (Format.md, Format.latex):
        raise UsageError(f"--metrics is for md and latex: {form} holds all values", "leave it out")
    if form in (Format.xlsx, Format.mlflow, Format.tensorboard):
        if out is None:
            raise UsageError(f"--format {form} needs a place", "add --out")
        terminal.line(_write(result, form, out))
        return
    text = _text(result, form, metrics)
    if out is None:
        for line in text.removesuffix("\n").split("\n"):
            terminal.line(line)
    else:
        write_text(Path(out).expanduser(), text)
        terminal.line(f"written: {out}")


def _text(result: RunResult, form: Format, metrics: str | None) -> str:
    """The run as text."""
    from fsbench.exports import documents, tables
    from fsbench.specs import split_list
    from fsbench.spreadsheets import no_formula

    if form is Format.csv:
        table = tables.values_frame(result.values, result.metrics)
        texts = table.select_dtypes(exclude=["number", "bool"]).columns
        return table.assign(**{name: table[name].map(no_formula) for name in texts}).to_csv(index=False)
    if form is Format.json:
        table = tables.values_frame(result.values, result.metrics)
        table["judge"] = [judge or None for judge in table["judge"]]
        return table.to_json(orient="records", indent=1, double_precision=15) + "\n"
    chosen = split_list(metrics or "")
    for name in chosen:
        if name not in (known := tables.known_metrics(result)):
            raise UnknownName("metric with a value in this run:", name, known)
    write = documents.markdown if form is Format.md else documents.latex
    return write(tables.summary(result, chosen))


def _write(result: RunResult, form: Format, out: str) -> str:
    """Write what is no text; returns what was written."""
    from fsbench.exports import trackers, workbook

    if form is Format.xlsx:
        workbook.write(result, Path(out).expanduser())
        return f"written: {out}"
    if form is Format.mlflow:
        n = trackers.to_mlflow(result, out, result.dataset.name)
        return f"{n} runs in experiment {result.dataset.name} of {out}"
    n = trackers.to_tensorboard(result, Path(out).expanduser())
    return f"{n} runs; look at them with: tensorboard --logdir {out}"
