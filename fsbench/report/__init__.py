"""One HTML page from the files of a run: self-contained, a pure function of those files, and free of torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fsbench.numbers import duration, number
from fsbench.report import budget, page, ranking, sections, tables, verdict
from fsbench.report.plots import LABEL, short
from fsbench.report.run import RunContents, read
from fsbench.report.sections import galleries
from fsbench.store import write_text

FILE_NAME, BRIEF_NAME = "report.html", "brief.html"


def write(folder: Path, *, brief: bool = False) -> Path:
    """Write `folder/report.html` from the files of a run, atomically, and return its path; `brief.html` for a brief.

    A brief is what the page begins with: the verdict, one table and one gallery, for two sheets of paper. Raises
    ResultError where result.json is missing or damaged; any other missing file becomes a sentence on the page.
    """
    run = read(folder)
    path = run.folder / (BRIEF_NAME if brief else FILE_NAME)
    write_text(path, html(run, brief=brief))
    return path


def html(run: RunContents, *, brief: bool = False) -> str:
    """Return the page of a run, or its brief."""
    environment = page.environment()
    environment.filters.update(duration=duration, decimals=number, coaches=tables.coaches, named=partial(_named, run))
    files = {"run": run, "result": run.result}
    template = environment.get_template("run/page.html.j2")
    scripts = [*(["map.js"] if len(run.maps) else []), *(["player.js"] if len(run.clips) else [])]
    content = {
        **files,
        "brief": brief,
        "style": page.text("style.css") + ("" if brief else page.text("validity.css") + page.text("player.css")),
        "script": page.script(*([] if brief else scripts)),
        "verdict": verdict.sentences(run),
        "ranking": ranking.ranking(run),
        "table": tables.summary(run),
        "networks": [*run.result.judges, *run.result.observers, *run.result.metrics],
        **galleries.first(run),
    }
    if brief:
        return template.render(content, sections=())
    room = budget.PAGE - budget.size(template.render(content, sections=()))
    return template.render(content, sections=page.render(sections.all_sections(), run, environment, room, **files))


def _named(run: RunContents, text: str) -> str:
    """The same with names that are as long as a page shown without their middle."""
    for name in sorted((model.name for model in run.result.models), key=len, reverse=True):
        text = text.replace(name, short(name, LABEL)) if len(name) > LABEL else text
    return text
