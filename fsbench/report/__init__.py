"""One HTML page from the files of a run: self-contained, a pure function of those files, and free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from fsbench.metric_groups import GROUPS
from fsbench.report import (
    balance,
    galleries,
    heatmaps,
    histograms,
    lookalikes,
    maps,
    page,
    people,
    plots,
    ranking,
    recursion,
    slices,
    tables,
    validity,
    verdict,
)
from fsbench.report.run import Run, read
from fsbench.results import JudgeRecord, ModelRecord, slug
from fsbench.store import write_text
from fsbench.validity import shipped

FILE_NAME = "report.html"


@dataclass(frozen=True)
class GroupView:
    """All that the page shows of the metrics of one group that is not identity."""

    title: str
    table: tables.Table

    @property
    def short(self) -> str:
        """What the navigation calls it."""
        return self.title.partition(":")[0]


@dataclass(frozen=True)
class JudgeView:
    """All that the page shows of one judge."""

    record: JudgeRecord
    likeness: tables.Table
    accepted: tables.Table
    histogram: Markup | None  # None, as are the heatmaps, where no features are stored
    heatmaps: heatmaps.Heatmaps | None
    lookalikes: list[lookalikes.Chart]
    map: maps.Map | None


def write(folder: Path) -> Path:
    """Write `folder/report.html` from the files of a run, atomically, and return its path.

    Raises ResultError where result.json is missing or damaged; any other missing file becomes a sentence on the page.
    """
    write_text(folder / FILE_NAME, html(read(folder)))
    return folder / FILE_NAME


def html(run: Run) -> str:
    """Return the page of a run."""
    environment = page.environment()
    environment.filters.update(
        duration=tables.duration, decimals=tables.number, when=_when, coaches=tables.coaches, slug=slug
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    table, validation = tables.summary(run), shipped()
    order = tables.ordered(run)
    album = galleries.Album(run)
    return environment.get_template("page.html.j2").render(
        style=page.text("style.css") + page.text("validity.css"),
        script=page.text("page.js") + (page.text("map.js") if len(run.maps) else ""),
        run=run,
        result=run.result,
        protocol=run.result.protocol.model_dump(),
        verdict=verdict.sentences(run),
        ranking=ranking.ranking(run),
        table=table,
        colours=plots.colours(run),
        dots=[(head, figure) for head in table.heads if (figure := plots.dots(run, head.column, order))],
        comparisons=galleries.comparisons(run, album, order),
        galleries=galleries.galleries(run, album, order),
        groups=_groups(run),
        validation=validation,
        matrix=validity.matrix(validation, linked=False) if validation else None,
        marks=validity.MARKS,
        findings={metric.name: validity.for_metric(validation, metric.name) if validation else []
                  for metric in run.result.metrics},
        networks=[*run.result.judges, *run.result.observers, *run.result.metrics],
        judges=[_judge_view(run, record, order) for record in run.judges],
        recursion=recursion.view(run, album, order),
        slices=slices.draw_all(run),
        balance=balance.bars(run),
    )


def _groups(run: Run) -> dict[str, GroupView]:
    measured = {metric.group for metric in run.result.metrics}
    return {group: GroupView(f"{facts.title}: {facts.question}", tables.of_group(run, group))
            for group, facts in GROUPS.items() if group in measured and group != "identity"}


def _judge_view(run: Run, record: JudgeRecord, order: Sequence[ModelRecord]) -> JudgeView:
    seen = people.view(run, record.name, order) if record.name in run.features else None
    shown = [model for model in order if model in run.contestants] or order
    likeness, accepted = tables.of_judge(run, record.name)
    return JudgeView(
        record,
        likeness,
        accepted,
        histograms.draw(seen, plots.colours(run), record.calibration) if seen else None,
        heatmaps.draw_all(seen) if seen else None,
        lookalikes.charts(run, record.name, shown),
        maps.draw(run, record.name, shown),
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
