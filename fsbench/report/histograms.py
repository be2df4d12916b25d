"""What a cosine means: how real images of one person and of two lie, and where each model's outputs lie beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report.people import FaceVectors, View, cosine, finite, other_scene, same
from fsbench.report.plots import GREY, INK, WIDTH, render_rows, short
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

    def rows(all_axes: Sequence[Axes]) -> None:
        for axes, (title, curves) in zip(all_axes, lines.items(), strict=True):
            for kind, values in curves.items():
                _distribution(axes, edges, values, kind, colours.get(title, GREY))
            for threshold in thresholds.values():
                axes.axvline(threshold, color=INK, linewidth=0.8, linestyle="--", alpha=0.7)
            axes.set_ylabel(short(title), rotation=0, ha="right", va="center")
            axes.set(yticks=[], xlim=(edges[0], edges[-1]))
            axes.spines["left"].set_visible(False)
        for far, threshold in thresholds.items():
            axes = all_axes[0]
            axes.text(threshold, 1, f" FAR {100 * far:g} %", fontsize=6.5, rotation=90, va="top",
                      transform=axes.get_xaxis_transform())  # fmt: skip
        all_axes[-1].set_xlabel(f"cosine, {view.judge}")

    alt = f"Histograms of the cosines of real images and of each model's outputs, {view.judge}"
    return render_rows(rows, len(lines), (1.4 * WIDTH, 0.8 + 0.55 * len(lines)), alt)


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


def _distribution(axes: Axes, edges: np.ndarray, values: np.ndarray, kind: str, colour: str) -> None:
    """One histogram; all have the same area. What is counted is drawn: millions of pairs take no time."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges)
    if not counts.any():
        return
    filled, other = kind in ("source", "genuine"), kind in ("strangers", "impostor")
    style = {"linewidth": 0, "alpha": 0.55} if filled else {"linewidth": 0.9, "linestyle": ":" if other else "-"}
    table = pd.DataFrame({"cosine": (edges[1:] + edges[:-1]) / 2, "pairs": counts})
    sns.histplot(table, x="cosine", weights="pairs", bins=edges.tolist(), stat="density", element="step",
                 fill=filled, color=GREY if other else colour, ax=axes, **style)  # fmt: skip
