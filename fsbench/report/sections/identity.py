"""Everything that each judge says of the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fsbench.report import budget, heatmaps, histograms, lookalikes, maps, people, plots, ranking, tables
from fsbench.report.page import Section
from fsbench.report.run import RunContents
from fsbench.results import JudgeRecord, ModelRecord

LEAST = 4  # contestants that are drawn, whatever the number of judges


@dataclass(frozen=True)
class JudgeView:
    """All that the page shows of one judge."""

    record: JudgeRecord
    likeness: tables.ScoreTable
    accepted: tables.ScoreTable
    histogram: Markup | None  # None, as are the heatmaps, where no features are stored
    heatmaps: heatmaps.Heatmaps | None
    lookalikes: list[lookalikes.Chart]
    map: maps.Map | None


def build(run: RunContents) -> dict[str, Any]:
    models = drawn(run)
    return {
        "judges": [_judge_view(run, judge, models) for judge in run.judges],
        "n_not_drawn": len(run.result.models) - len(models),
        "left_out": ranking.ranking(run).left_out,
        "contestants": [model.name for model in run.contestants],
        "colours": plots.colours(run),
    }


def drawn(run: RunContents) -> list[ModelRecord]:
    """The models that have room in figures: with ceilings and baselines the best contestants, fewer of more judges."""
    models = tables.ordered(run)
    others = [model for model in models if model not in run.contestants]
    n = max(LEAST, budget.FIGURES // max(1, len(run.judges)) - len(others))
    return [model for model in models if model in run.contestants][:n] + others


def _judge_view(run: RunContents, judge: JudgeRecord, models: Sequence[ModelRecord]) -> JudgeView:
    view = people.view(run, judge.name, models) if judge.name in run.features else None
    shown = [model for model in models if model in run.contestants] or models
    likeness, accepted = tables.of_judge(run, judge.name)
    return JudgeView(
        judge,
        likeness,
        accepted,
        histograms.draw(view, plots.colours(run), judge.calibration) if view else None,
        heatmaps.draw_all(view, budget.HEATMAPS / len(run.judges)) if view else None,
        lookalikes.charts(run, judge.name, shown),
        maps.draw(run, judge.name, shown),
    )


SECTIONS = (Section("identity", "Identity", build, "run/identity.html.j2"),)
