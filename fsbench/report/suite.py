"""The page of a suite: each experiment with its question, the answer, values, pictures and a link to its own report.

A pure function of suite.json and the run folders of the experiments; free of torch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fsbench import suites
from fsbench.errors import ResultError
from fsbench.report import FILE_NAME, page, tables
from fsbench.report.page import Section
from fsbench.report.run import Run, read
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.store import write_text
from fsbench.suites import ExperimentRecord


def write(folder: Path) -> Path:
    """Write `folder/report.html` from the files of a suite, atomically, and return its path; raises ResultError.

    What is missing of an experiment becomes a sentence in its section.
    """
    result, environment = suites.load(folder), page.environment()
    sections = [
        Section(record.folder, record.title, partial(_experiment, record), "suite/experiment.html.j2")
        for record in result.experiments
    ]
    html = environment.get_template("suite/page.html.j2").render(
        sections=page.render(sections, folder, environment), style=page.text("style.css"), result=result
    )
    write_text(folder / FILE_NAME, html)
    return folder / FILE_NAME


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


def _pictures(run: Run) -> tuple[Picture, ...]:
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
