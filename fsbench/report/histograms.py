"""What a cosine means: how real images of one person and of two lie, and where each model's outputs lie beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report.people import FaceVectors, View, cosine, finite, other_scene, same
from fsbench.report.plots import GREY, INK, WIDTH, render, short
from fsbench.results import CalibrationRecord

IMAGES_LIMIT = 1000  # images of a kind that pairs are taken from: half a million pairs are a smooth curve
N_BINS = 60

Curves = dict[str, np.ndarray]  # what the pairs are -> their cosines


def draw(view: View, colours: Mapping[str, str], calibration: CalibrationRecord | None) -> Markup:
    """Draw a line of histograms for real images and one for each model, over the same cosines, and the thresholds."""
    lines = {"real images": _real(view)} | {model: _outputs(made, view) for model, made in view.outputs}
    low, high = np.quantile(finite([values for curves in lines.values() for values in curves.values()]), [0.001, 0.999])
    points = [] if calibration is None else calibration.points
    thresholds = {point.far: point.threshold for point in points if point.threshold is not None}
    low, high = min([low, *thresholds.values()]), max([high, *thresholds.values()])
    edges = np.linspace(low, max(high, low + 0.01), N_BINS + 1)

    def ridges(axes: Axes) -> None:
        for y, (title, curves) in enumerate(lines.items()):
            for kind, values in curves.items():
                _ridge(axes, edges, values, y, kind, colours.get(title, GREY))
        for far, threshold in thresholds.items():
            axes.axvline(threshold, color=INK, linewidth=0.8, linestyle="--", alpha=0.7)
            axes.text(threshold, -0.98, f" FAR {100 * far:g} %", fontsize=6.5, rotation=90, va="top")
        axes.set_yticks(range(len(lines)), [short(title) for title in lines])
        axes.set_ylim(len(lines) - 0.9, -1.0)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"cosine, {view.judge}")

    alt = f"Histograms of the cosines of real images and of each model's outputs, {view.judge}"
    return render(ridges, (1.4 * WIDTH, 0.8 + 0.5 * len(lines)), alt)


def _real(view: View) -> Curves:
    kinds = [people.thinned(IMAGES_LIMIT) for people in (view.swapped, view.strangers)]
    everyone = FaceVectors(np.concatenate([kind.vectors for kind in kinds]), pd.concat([kind.rows for kind in kinds]))
    values, one_person = cosine(everyone, everyone), same(everyone, everyone, "identity")
    once = np.triu(other_scene(everyone, everyone), 1)
    return {"impostor": values[once & ~one_person], "genuine": values[once & one_person]}


def _outputs(made: FaceVectors, view: View) -> Curves:
    made, swapped, strangers = (people.thinned(IMAGES_LIMIT) for people in (made, view.swapped, view.strangers))
    values = cosine(made, swapped)
    return {
        "strangers": cosine(made, strangers).ravel(),
        "target": values[other_scene(made, swapped) & same(made, swapped, "identity")],
        "source": values[same(made, swapped, "source", "identity")],
    }


def _ridge(axes: Axes, edges: np.ndarray, values: np.ndarray, y: float, kind: str, colour: str) -> None:
    """One histogram that stands on the line `y` and is 0.85 high."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges)
    if not counts.any():
        return
    x, heights = np.repeat(edges, 2)[1:-1], y - 0.85 * np.repeat(counts / counts.max(), 2)
    if kind in ("source", "genuine"):
        axes.fill_between(x, heights, y, color=colour, alpha=0.55, linewidth=0)
    elif kind == "target":
        axes.plot(x, heights, color=colour, linewidth=1.1)
    else:
        axes.plot(x, heights, color=GREY, linewidth=0.9, linestyle=":")
