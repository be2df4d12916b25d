"""One HTML page from the files of a run: self-contained, a pure function of those files, and free of torch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fsbench.report import cosines, galleries, plots
from fsbench.report.run import Run, read
from fsbench.report.tables import duration, number, summary
from fsbench.report.verdict import verdict
from fsbench.store import write_text

FILE_NAME = "report.html"
_HERE = Path(__file__).parent


def write(folder: Path) -> Path:
    """Write `folder/report.html` from the files of a run, atomically, and return its path.

    Raises ResultError where result.json is missing or damaged; any other missing file becomes a sentence on the page.
    """
    page = folder / FILE_NAME
    write_text(page, html(read(folder)))
    return page


def html(run: Run) -> str:
    """Return the page of a run."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(duration=duration, number=number, when=_when)
    table = summary(run)
    order = [row.model for _, rows in table.groups for row in rows]
    album = galleries.Album(run)
    columns = run.columns
    tags = plots.tags(run)
    return environment.get_template("page.html.j2").render(
        style=(_HERE / "style.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
        run=run,
        result=run.result,
        protocol=run.result.protocol.model_dump(),
        verdict=verdict(run),
        table=table,
        dots=[(column, figure) for column in columns if (figure := plots.dots(run, column, order)) is not None],
        comparisons=galleries.comparisons(run, album),
        galleries=galleries.galleries(run, album),
        views=cosines.views(run),
        slices=[(tag, figure) for tag in tags if columns and (figure := plots.slices(run, columns[0], tag)) is not None],
        headline=columns[0] if columns else None,
        colours=plots.colours(run),
    )


def _when(created: str) -> str:
    """Print an ISO 8601 time for people; what is not one stays as it is."""
    try:
        return datetime.fromisoformat(created).astimezone(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    except ValueError:
        return created
