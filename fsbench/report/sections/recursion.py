"""Outputs that were fed back as targets: curves over the number of passes, and what became of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from pandas.api.types import is_numeric_dtype

from fsbench.report import tables
from fsbench.report.page import Section
from fsbench.report.plots import GREY, WIDTH, colours, reference_line, render
from fsbench.report.run import RunContents
from fsbench.report.thumbnails import Picture, Thumbnails
from fsbench.results import ModelRecord, slug
from fsbench.sampling import evenly

SHOWN = 2  # outputs per contestant in the filmstrips, at most


@dataclass(frozen=True)
class Film:
    """What became of some outputs of one model: the target, then one picture per number of passes."""

    model: ModelRecord
    strips: tuple[tuple[Picture, ...], ...]


@dataclass(frozen=True)
class RecursionView:
    """Figures, the first of them under the first judge that counts, and filmstrips."""

    curves: tuple[Markup, ...]
    models: tuple[str, ...]  # in the figures
    films: tuple[Film, ...]  # of as many of them as there is room for
    n_outputs: int  # per model, at most


def build(run: RunContents, room: int) -> dict[str, Any] | None:
    recursion = view(run, room)
    return None if recursion is None else {"recursion": recursion, "colours": colours(run)}


def view(run: RunContents, room: int) -> RecursionView | None:
    """Draw what was fed back, with film strips for about `room` bytes; None where nothing of a contestant was."""
    order, thumbnails = tables.ordered(run), Thumbnails(run)
    table = run.recursion
    fed_back = set() if table.empty else set(table["model"])
    shown = [model for model in order if model in run.contestants and model.name in fed_back]
    if not shown:
        return None
    labels = {
        key: key.replace("@", ", ", 1)
        for judge in run.judges
        for key in map(str, table)
        if key.partition("@")[2] == judge.name
    }
    labels |= {"colour": "change of skin colour, Delta E", "sharpness": "sharpness, target's = 1"}
    curves = tuple(
        _curves(run, order, key, label)
        for key, label in labels.items()
        if key in table and is_numeric_dtype(table[key]) and table[key].notna().any()
    )
    room -= sum(map(len, curves))
    n_strips = max(0, int(room / (thumbnails.n_bytes * (1 + table["n"].nunique()))))
    each = min(SHOWN, max(1, n_strips // len(shown)))
    films = tuple(_film(run, thumbnails, model, each) for model in shown[:n_strips])
    n_outputs = int(table.groupby("model")["row"].nunique().max())
    return RecursionView(curves, tuple(model.name for model in shown), films, n_outputs)


def _curves(run: RunContents, order: Sequence[ModelRecord], key: str, label: str) -> Markup:
    """Means over the outputs of each model against the number of passes, and the outputs of contestants one by one."""
    table, colour = run.recursion, colours(run)
    passes = sorted(table["n"].unique())
    contestants = table[table["model"].isin([model.name for model in run.contestants])]

    def draw(axes: Axes) -> None:
        line = partial(sns.lineplot, x="n", y=key, ax=axes, legend=False)
        accents = {"hue": "model", "palette": colour}
        line(contestants, units="row", estimator=None, linewidth=0.6, alpha=0.3, **accents)
        line(contestants, errorbar=None, marker="o", markersize=4, markeredgewidth=0, linewidth=2, **accents)
        for model in order:
            if model not in run.contestants and (style := reference_line(model)):
                rows = table[table["model"] == model.name]
                line(rows, errorbar=None, color=GREY, linewidth=1.1, linestyle=style)
        axes.set_xscale("log")
        axes.set_xticks(passes, [str(n) for n in passes])
        axes.minorticks_off()
        axes.locator_params(axis="y", nbins=5)
        axes.set_xlabel("passes")
        axes.set_ylabel(label)

    return render(draw, (WIDTH, 2.7), f"{label} against the number of passes, by model")


def _film(run: RunContents, thumbnails: Thumbnails, model: ModelRecord, count: int) -> Film:
    """Filmstrips of outputs that are evenly chosen among those that were fed back."""
    samples = run.of(model.name)
    table = run.recursion[run.recursion["model"] == model.name]
    rows, passes = np.sort(table["row"].unique()), sorted(table["n"].unique())
    chosen = rows[evenly(len(rows), count)]
    strips = []
    for row in chosen:
        sample = samples.iloc[row]
        pair = f"{sample['source']} into {sample['identity']}"
        _, _, _, *image = PurePosixPath(str(sample["output"])).parts  # outputs/MODEL/SOURCE/ID.png
        pictures = [thumbnails.picture("target", Path("inputs", "target", *image), f"target: {sample['identity']}")]
        for n in passes:
            path = Path("recursion", slug(model.name), str(row), f"{n}.png")
            title = f"{n} pass{'' if n == 1 else 'es'}"
            pictures.append(thumbnails.picture(title, path, f"{model.name}, {pair}, after {title}"))
        strips.append(tuple(pictures))
    return Film(model, tuple(strips))


SECTIONS = (Section("recursion", "Fed back", build, "run/recursion.html.j2"),)
