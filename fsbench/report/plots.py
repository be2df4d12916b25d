"""Figures as inline SVG: text takes the page's colour and font, so they follow its theme and stay small."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsbench.report.run import NOTHING_SWAPPED, Column, Run
from fsbench.results import ModelRecord, Value
from fsbench.store import fingerprint

INK = "#010203"                                         # stands for the colour of the page's text until the SVG is written
GREY = "#8b919a"
ACCENTS = ("#3b82c4", "#d97f2b", "#3d9a5f", "#9a68c4", "#cf4d4d", "#2a9d9d", "#b8862b", "#c95f9e", "#6f8f2f", "#5b6fd0", "#a0674b", "#4f9fb8")
WIDTH = 4.6                                             # inches of a figure that stays readable on a phone
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "fsbench", "text.parse_math": False, "font.size": 9, "axes.titlesize": 9,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": GREY,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "xtick.major.width": 0.7,
    "ytick.major.width": 0.7, "figure.constrained_layout.use": True,
}


def render(draw: Callable[[Axes], None], size: tuple[float, float], alt: str) -> Markup:
    """Draw one pair of axes of `size` inches and return it as an SVG element; the same drawing gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")      # the reader's browser draws the text and has more fonts
        figure = Figure(figsize=size)
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg"):].strip()
    prefix = "f" + fingerprint(text)[:8] + "-"                  # ids are unique in one SVG, not in a page that holds many
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}", tag[0]), text)
    opening = f'<svg role="img" aria-label="{html.escape(alt)}" style="max-width:{round(96 * size[0])}px" '
    text = re.sub(r'<svg (height|width)="[^"]*" ', opening, re.sub(r' (?:height|width)="[\d.]+pt"', "", text, count=2), count=1)
    return Markup(text.replace(INK, "currentColor"))


def colours(run: Run) -> dict[str, str]:
    """One colour per contestant; ceilings and baselines are grey."""
    accents = {model.name: ACCENTS[i % len(ACCENTS)] for i, model in enumerate(run.contestants)}
    return {model.name: accents.get(model.name, GREY) for model in run.result.models}


def short(name: str, limit: int = 26) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def dots(run: Run, column: Column, order: Sequence[ModelRecord]) -> Markup | None:
    """Values and intervals of one metric, models from top to bottom; None where nothing was scored."""
    entries = [(model, value) for model in order if (value := run.value(model.name, column)) is not None and value.value is not None]
    if not entries:
        return None
    colour = colours(run)

    def draw(axes: Axes) -> None:
        for model, value in entries:
            if model.kind == "ceiling" or model.name == NOTHING_SWAPPED:
                axes.axvline(value.value or 0.0, color=GREY, linewidth=0.8, linestyle="--" if model.kind == "ceiling" else ":", zorder=0)
        for y, (model, value) in enumerate(entries):
            _dot(axes, y, value, colour[model.name], filled=model in run.contestants)
        axes.set_yticks(range(len(entries)), [short(model.name) for model, _ in entries])
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{column.metric.name}{f' ({column.metric.unit})' if column.metric.unit else ''}, "
                        f"{column.metric.direction} is better{f' · {column.judge}' if column.judge else ''}")
        axes.margins(x=0.06)

    return render(draw, (WIDTH, 0.75 + 0.27 * len(entries)), f"Values and intervals of {column.key} by model")


def _dot(axes: Axes, y: int, value: Value, colour: str, filled: bool) -> None:
    if value.low is not None and value.high is not None:
        axes.plot([value.low, value.high], [y, y], color=colour, linewidth=3.5, alpha=0.45, solid_capstyle="round")
    axes.plot([value.value], [y], "o", color=colour, markersize=6.5, markerfacecolor=colour if filled else "none", markeredgewidth=1.4)


def tags(run: Run) -> list[str]:
    """Float columns with facts about the target images, yaw first."""
    known = {column.key for column in run.columns}
    found = [str(name) for name in run.samples.columns
             if name not in known and pd.api.types.is_float_dtype(run.samples[name]) and run.samples[name].nunique() > 1]
    return sorted(found, key=lambda name: name != "yaw")


def slices(run: Run, column: Column, tag: str, n_bins: int = 6) -> Markup | None:
    """One metric against one fact about the target: a dot per output, lines through the means of equally filled bins."""
    if column.key not in run.samples or not run.samples[column.key].notna().any():
        return None
    colour = colours(run)
    edges = np.unique(np.nanquantile(run.samples[tag].to_numpy(), np.linspace(0, 1, n_bins + 1)))

    def draw(axes: Axes) -> None:
        for model in sorted(run.result.models, key=lambda model: model in run.contestants):
            rows = run.of(model.name)[[tag, column.key]].dropna()
            if rows.empty:
                continue
            contestant = model in run.contestants
            if contestant:
                axes.scatter(rows[tag], rows[column.key], s=5, color=colour[model.name], alpha=0.35, linewidths=0, rasterized=True)
            bins = rows.groupby(np.clip(np.searchsorted(edges, rows[tag], side="right"), 1, max(len(edges) - 1, 1)))
            means = bins.mean()
            axes.plot(means[tag], means[column.key], "-" if contestant else ":", color=colour[model.name], linewidth=2 if contestant else 1.2)
            if not contestant:
                axes.annotate(short(model.name), (means[tag].iloc[-1], means[column.key].iloc[-1]), fontsize=7, color=GREY,
                              xytext=(3, 0), textcoords="offset points", va="center", annotation_clip=False)
        axes.set_xlabel(f"{tag} of the target")
        axes.set_ylabel(column.metric.name)

    return render(draw, (WIDTH, 2.9), f"{column.key} against {tag} of the target, by model")
