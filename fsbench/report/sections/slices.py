"""The headline metric by what is known about the target image: yaw, occlusion, session, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report.page import Section
from fsbench.report.plots import GREY, WIDTH, colours, reference_line, render, short
from fsbench.report.run import Column, RunContents
from fsbench.report.samples import tags
from fsbench.results import ModelRecord
from fsbench.stats.resampling import Design, Mean

N_BINS = 6
SESSIONS = 24  # sessions that are drawn; of more, the hardest ones
YAW = "yaw"
WORDS = ("no", "yes")


@dataclass(frozen=True)
class Slices:
    """Figures of one column."""

    column: Column
    yaw: Markup | None
    sessions: Markup | None
    n_sessions: int
    switches: Markup | None  # tags that are 0 or 1
    others: tuple[Markup, ...]


def build(run: RunContents) -> dict[str, Any] | None:
    slices = draw_all(run)
    return None if slices is None else {"slices": slices, "colours": colours(run)}


def draw_all(run: RunContents) -> Slices | None:
    """Draw the headline metric against everything that is known; None where nothing was scored."""
    column = run.headline
    if column is None:
        return None
    known = tags(run, run.samples[run.samples[column.key].notna()])
    switches = [tag for tag in known if set(run.samples[tag].dropna().unique()) == {0, 1}]
    others = [tag for tag in known if tag != YAW and tag not in switches]
    sessions = run.samples[["identity", "session"]].drop_duplicates()
    return Slices(
        column,
        against(run, column, YAW, 1.7 * WIDTH) if YAW in known else None,
        _sessions(run, column) if len(sessions) > 1 and run.contestants else None,
        len(sessions),
        _switches(run, column, switches) if switches and run.contestants else None,
        tuple(against(run, column, tag, WIDTH) for tag in others),
    )


def against(run: RunContents, column: Column, tag: str, width: float) -> Markup:
    """One metric against one fact about the target: a dot per output, a line through the means of equal bins."""
    edges = _bin_edges(run.samples[tag].dropna().to_numpy())
    known = run.samples[["model", tag, column.key]].dropna()
    means = known.groupby(["model", np.searchsorted(edges, known[tag], side="right")]).mean().reset_index("model")
    contestants = [model.name for model in run.contestants]
    accents: dict[str, Any] = {"x": tag, "y": column.key, "hue": "model", "palette": colours(run), "legend": False}

    def draw(axes: Axes) -> None:
        dots, lines = (table[table["model"].isin(contestants)] for table in (known, means))
        if contestants:
            sns.scatterplot(dots, ax=axes, s=9, alpha=0.4, linewidth=0, rasterized=True, **accents)
            sns.lineplot(lines, ax=axes, estimator=None, linewidth=2, **accents)
        for model in run.result.models:
            if model.name not in contestants and (style := reference_line(model)):
                line = means[means["model"] == model.name]
                axes.plot(line[tag], line[column.key], color=GREY, linewidth=1.1, linestyle=style)
        axes.locator_params(nbins=6)
        axes.set_xlabel(f"{tag} of the target{', degrees' if tag == YAW else ''}")
        axes.set_ylabel(column.metric.name)

    return render(draw, (width, 2.9), f"{column.key} against {tag} of the target, by model")


def _bin_edges(values: np.ndarray) -> np.ndarray:
    """Starts of bins: a bin per value where there are few, else bins that hold equally many."""
    distinct = np.unique(values)
    return distinct if len(distinct) <= N_BINS else np.unique(np.quantile(values, np.linspace(0, 1, N_BINS + 1)[1:-1]))


def _switches(run: RunContents, column: Column, names: Sequence[str]) -> Markup:
    """Means with and without something, with intervals."""
    lines = [(name, value) for name in names for value in (0, 1)]

    def draw(axes: Axes) -> None:
        for model, offset in _side_by_side(run):
            for y, (name, value) in enumerate(lines):
                rows = run.of(model.name).dropna(subset=[name, column.key])
                _mean_and_interval(axes, run, rows[rows[name] == value], column, model, y + offset)
        labels = [f"{name}: {WORDS[value]}" for name, value in lines]
        _name_lines(axes, labels, column)

    alt = f"{column.key} by {', '.join(names)} of the target, by model"
    return render(draw, (WIDTH, _height(run, len(lines))), alt)


def _mean_and_interval(
    axes: Axes, run: RunContents, rows: pd.DataFrame, column: Column, model: ModelRecord, y: float
) -> None:
    """Draw the mean of some outputs, and an interval as all intervals of a run are made."""
    if rows.empty:
        return
    values, colour = rows[column.key].to_numpy(np.float64), colours(run)[model.name]
    people, sessions, sources = (rows[name].to_numpy(str) for name in ("identity", "session", "source"))
    design = Design.of(people, sessions, sources, resamples=run.result.protocol.resamples, seed=run.result.seed)
    if not design.reason:
        interval = design.spread(design.resample(Mean(values))).interval(float(values.mean()))
        axes.plot(interval, [y, y], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot([values.mean()], [y], "o", color=colour, markersize=5)


def _sessions(run: RunContents, column: Column) -> Markup:
    """Means by session of the target, the hardest first."""
    shown = run.contestants
    rows = run.samples[run.samples["model"].isin([model.name for model in shown])]
    means = rows.groupby(["identity", "session", "model"])[column.key].mean().unstack("model")
    harder = means.mean(axis=1) * (1 if column.metric.direction == "higher" else -1)
    means = means.loc[harder.sort_values(kind="stable").index[:SESSIONS]]

    def draw(axes: Axes) -> None:
        means_of = means.reset_index(drop=True).rename_axis("line").melt(ignore_index=False).reset_index()
        sns.scatterplot(means_of, x="value", y="line", hue="model", palette=colours(run), s=25, linewidth=0, ax=axes,
                        legend=False)  # fmt: skip
        axes.set_ylabel("")
        _name_lines(axes, [short(f"{identity}, {session}") for identity, session in means.index], column)
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)

    return render(draw, (WIDTH, 0.6 + 0.17 * len(means)), f"{column.key} by session of the target, by model")


def _side_by_side(run: RunContents) -> list[tuple[ModelRecord, float]]:
    """The contestants, and where they stand about a line."""
    n = len(run.contestants)
    return list(zip(run.contestants, 0.6 * (np.arange(n) - (n - 1) / 2) / n, strict=True))


def _height(run: RunContents, n_lines: int) -> float:
    return 0.6 + n_lines * max(0.26, 0.11 * len(_side_by_side(run)))


def _name_lines(axes: Axes, labels: Sequence[str], column: Column) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(column.metric.name)
    axes.locator_params(axis="x", nbins=5)


SECTIONS = (Section("slices", "Slices", build, "run/slices.html.j2"),)
