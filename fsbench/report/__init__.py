"""One HTML page from the files of a run: self-contained, a pure function of those files, and free of torch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fsbench.report import galleries, heatmaps, histograms, people, plots, tables, verdict
from fsbench.report.run import Run, read
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
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(duration=tables.duration, when=_when)
    table = tables.summary(run)
    order = [row.model for _, rows in table.groups for row in rows]
    album = galleries.Album(run)
    colours = plots.colours(run)
    views = [people.view(run, judge, order) for judge in run.features]
    return environment.get_template("page.html.j2").render(
        style=(_HERE / "style.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
        run=run,
        result=run.result,
        protocol=run.result.protocol.model_dump(),
        verdict=verdict.sentences(run),
        table=table,
        colours=colours,
        dots=[(head, figure) for head in table.heads if (figure := plots.dots(run, head.column, order))],
        comparisons=galleries.comparisons(run, album, order),
        galleries=galleries.galleries(run, album, order),
        judges=[(seen.judge, histograms.draw(seen, colours), heatmaps.draw_all(seen)) for seen in views],
        slices=[plots.slices(run, run.headline, tag) for tag in plots.tags(run)] if run.headline else [],
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
    moment = moment.astimezone(UTC) if moment.tzinfo else moment    # without a zone it is UTC, as the format says
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
