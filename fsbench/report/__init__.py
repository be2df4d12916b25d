"""One HTML page from the files of a run: self-contained, a pure function of those files, and free of torch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fsbench.numbers import number
from fsbench.report import page, ranking, sections, tables, verdict
from fsbench.report.run import Run, read
from fsbench.results import slug
from fsbench.store import write_text

FILE_NAME = "report.html"


def write(folder: Path) -> Path:
    """Write `folder/report.html` from the files of a run, atomically, and return its path.

    Raises ResultError where result.json is missing or damaged; any other missing file becomes a sentence on the page.
    """
    write_text(folder / FILE_NAME, html(read(folder)))
    return folder / FILE_NAME


def html(run: Run) -> str:
    """Return the page of a run."""
    environment = page.environment()
    environment.filters.update(duration=tables.duration, decimals=number, when=_when, coaches=tables.coaches, slug=slug)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    files = {"run": run, "result": run.result}
    return environment.get_template("run/page.html.j2").render(
        files,
        sections=page.render(sections.all_sections(), run, environment, **files),
        style=page.text("style.css") + page.text("validity.css"),
        script=page.text("page.js") + (page.text("map.js") if len(run.maps) else ""),
        verdict=verdict.sentences(run),
        ranking=ranking.ranking(run),
        networks=[*run.result.judges, *run.result.observers, *run.result.metrics],
    )


def _when(created: str) -> str:
    """Print an ISO 8601 time for people; what is not one stays as it is.

    >>> _when("2026-03-04T05:06:07"), _when("2026-03-04T05:06:07+05:00"), _when("yesterday")
    ('4 March 2026, 05:06 UTC', '4 March 2026, 00:06 UTC', 'yesterday')
    """
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    moment = moment.astimezone(UTC) if moment.tzinfo else moment  # without a zone it is UTC, as the format says
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
