"""The page of a suite: each experiment with its question, the answer, values, pictures and a link to its own report.

A pure function of suite.json and the run folders of the experiments; free of torch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from fsbench import results, suites
from fsbench.errors import ResultError
from fsbench.report import FILE_NAME, page, tables
from fsbench.report.page import Section
from fsbench.report.plots import render, short
from fsbench.report.run import RunContents, read
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.store import write_text
from fsbench.suites import ComparisonRecord, ExperimentRecord, SuiteResult

LONG = 15
"""Rows above which the grid has its heads at both ends."""


def write(folder: Path) -> Path:
    """Write `folder/report.html` from the files of a suite, atomically, and return its path; raises ResultError.

    What is missing of an experiment becomes a sentence in its section.
    """
    result, environment = suites.load(folder), page.environment()
    sections = [Section("_grid", "All experiments", partial(grid, result), "suite/grid.html.j2")]
    sections += [
        Section(record.folder, record.title, partial(_experiment, record), "suite/experiment.html.j2")
        for record in result.experiments
    ]
    html = environment.get_template("suite/page.html.j2").render(
        sections=page.render(sections, folder, environment),
        style=page.text("style.css"),
        script=page.script(),
        result=result,
    )
    write_text(folder / FILE_NAME, html)
    return folder / FILE_NAME


def grid(result: SuiteResult, folder: Path) -> dict[str, Any] | None:
    """Draw every model of every experiment against its baseline, by metric; None where there is little to compare.

    A difference is told in units of the smallest one that its experiment would detect: beyond one it tends to be seen.
    """
    cells: dict[tuple[int, str], float] = {}
    labels: list[str] = []
    for record in (record for record in result.experiments if record.comparisons):
        try:
            metrics = results.load(folder / record.folder).metrics
        except ResultError:  # its own section says so
            continue
        rising = {metric.name: metric.direction == "higher" for metric in metrics}
        for model in dict.fromkeys(one.model for one in record.comparisons):
            own = {results.column(one.metric, one.judge, one.stage): _in_detectable(one, rising[one.metric])
                   for one in record.comparisons if one.model == model}  # fmt: skip
            known = {key: size for key, size in own.items() if size is not None}
            cells |= {(len(labels), key): size for key, size in known.items()}
            labels += [f"{short(record.title)}: {short(model)}"] if known else []
    if len(labels) < 2:
        return None
    table = pd.Series(cells).unstack().reindex(columns=list(dict.fromkeys(key for _, key in cells)))
    long = len(labels) > LONG

    def draw(axes: Axes) -> None:
        sns.heatmap(table, ax=axes, cmap=sns.diverging_palette(30, 145, s=80, l=60, as_cmap=True), vmin=-3, vmax=3,
                    annot=True, fmt="+.1f", linewidths=1, linecolor="none", yticklabels=labels, cbar=False)  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.tick_params(length=0)
        axes.tick_params("x", labeltop=long, labelrotation=90)

    size = (2.6 + 0.7 * len(table.columns), (3.2 if long else 1.6) + 0.3 * len(labels))
    return {"figure": render(draw, size, "Differences of all models to the baselines of their experiments, by metric")}


def _in_detectable(record: ComparisonRecord, rising: bool) -> float | None:
    """A difference to the better in units of the smallest detectable one; None where either is not known."""
    if record.effect is None or not record.detectable:
        return None
    return (1 if rising else -1) * record.effect / record.detectable


def _experiment(record: ExperimentRecord, folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {"record": record, "table": None, "pictures": (), "gap": record.error, "link": ""}
    if not record.finished:
        return content | {"gap": record.error or "it was not run yet"}
    try:
        run = read(folder / record.folder)
    except ResultError as error:
        return content | {"gap": error.message}
    wanted = {(one.metric, one.judge, one.stage) for one in record.comparisons}
    columns = [column for column in run.columns if (column.metric.name, column.judge, column.stage) in wanted]
    page_there = (run.folder / FILE_NAME).is_file()
    return content | {
        "table": tables.table(run, columns),
        "pictures": _pictures(run),
        "link": f"{record.folder}/{FILE_NAME}" if page_there else "",
    }


def _pictures(run: RunContents) -> tuple[Picture, ...]:
    """One pair as every model swaps it, the first: all models have the same pairs in the same order."""
    thumbnails, shown = Thumbnails(run), list[Picture]()
    for model in tables.ordered(run):
        rows = run.of(model.name)
        if rows.empty:
            continue
        shown += [] if shown else thumbnails.inputs(rows.iloc[0])
        if model in run.contestants:
            shown.append(thumbnails.output(rows.iloc[0], model.name))
    return tuple(shown)
