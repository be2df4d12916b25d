"""Maps of a judge's embeddings (UMAP): real images of each person and outputs, in the plane and in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report.plots import GREY, render
from fsbench.report.run import RunContents
from fsbench.results import ModelRecord

PLANE, SPACE = ["x2", "y2"], ["x3", "y3", "z3"]
COLOURS = ("#8e5cc9", "#d99a1c", "#2a9d8f", "#cf4d4d", "#4f8fd0", "#7a8f2a", "#c95f9e", "#8a6a4b")  # people, not models
GRID = 500  # coordinates are whole numbers from -GRID to GRID: a five-hundredth is less than a dot
TURN, TILT = 0.7, 0.35  # radians: how the map in space is seen at first


@dataclass(frozen=True)
class Cloud:
    """Images of one kind: real ones of a person, or a model's outputs that should show a person."""

    model: str  # "" for real images
    person: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Map:
    """A judge's vectors as points."""

    legend: tuple[tuple[str, str], ...]  # person -> colour
    panels: tuple[tuple[str, Markup], ...]  # in the plane, a model's outputs among the real images
    still: Markup  # in space, as the page shows it without a script
    points: dict[str, Any]  # in space, for the script


def draw(run: RunContents, judge: str, models: Sequence[ModelRecord]) -> Map | None:
    """Draw both maps of a judge; None where there are no coordinates."""
    if run.maps.empty or run.references is None or run.samples.empty:
        return None
    clouds = _clouds(run, run.maps[run.maps["judge"] == judge], models)
    if not any(cloud.model == "" for cloud in clouds):
        return None
    people = list(dict.fromkeys(cloud.person for cloud in clouds))
    colours = {person: COLOURS[i] if i < len(COLOURS) else GREY for i, person in enumerate(people)}
    made = list(dict.fromkeys(cloud.model for cloud in clouds if cloud.model)) or [""]
    plane = [(cloud, cloud.table[PLANE].to_numpy()) for cloud in clouds]
    space = list(zip(clouds, _placed(clouds), strict=True))
    panels = tuple(
        (model or "real images", _scatter(plane, model, colours, f"Map of {judge} in the plane")) for model in made
    )
    projected = [(cloud, _projected(points)) for cloud, points in space]
    still = _scatter(projected, made[0], colours, f"Map of {judge} in space, seen from one side")
    points = {
        "turn": TURN,
        "tilt": TILT,
        "grid": GRID,
        "clouds": [
            {
                "model": cloud.model,
                "colour": colours[cloud.person],
                "points": np.round(GRID * points).astype(int).ravel().tolist(),
            }
            for cloud, points in space
        ],
    }
    named = tuple((person, colours[person]) for person in people[: len(COLOURS)])
    return Map((*named, ("other people", GREY)) if len(people) > len(named) else named, panels, still, points)


def _clouds(run: RunContents, table: pd.DataFrame, models: Sequence[ModelRecord]) -> list[Cloud]:
    """Real images first, so that outputs lie above them."""
    assert run.references is not None
    kinds = [("", run.references, "identity")] + [(model.name, run.of(model.name), "source") for model in models]
    clouds = []
    for model, rows, role in kinds:
        mine = table[table["model"] == model]
        wanted = (rows["split"] == "test").to_numpy() if "split" in rows else np.ones(len(rows), dtype=bool)
        mine = mine[wanted[mine["row"]]]
        people = rows[role].astype(str).to_numpy()[mine["row"]]
        clouds += [Cloud(model, person, mine[people == person]) for person in dict.fromkeys(people)]
    return clouds


def _placed(clouds: Sequence[Cloud]) -> list[np.ndarray]:
    """Coordinates in space (N, 3) of each cloud, about the middle of all, within a ball of radius 1."""
    places = [cloud.table[SPACE].to_numpy() for cloud in clouds]
    everything = np.concatenate(places)
    middle = (everything.min(0) + everything.max(0)) / 2
    radius = max(float(np.linalg.norm(everything - middle, axis=1).max()), 1e-9)
    return [(points - middle) / radius for points in places]


def _projected(points: np.ndarray) -> np.ndarray:
    """Project points (N, 3) to the plane (N, 2), turned about the upright axis and then tilted; as map.js does it."""
    x, y, z = points.T
    right, away = x * np.cos(TURN) + z * np.sin(TURN), z * np.cos(TURN) - x * np.sin(TURN)
    return np.stack([right, y * np.cos(TILT) - away * np.sin(TILT)], 1)


def _scatter(clouds: Sequence[tuple[Cloud, np.ndarray]], model: str, colours: dict[str, str], what: str) -> Markup:
    """Draw real images as dots, and one model's outputs as crosses."""

    def paint(axes: Axes) -> None:
        for cloud, points in clouds:
            if cloud.model not in ("", model):
                continue
            real = cloud.model == ""
            style: dict[str, Any] = {"marker": "o", "alpha": 0.45, "markeredgewidth": 0} if real else {"marker": "x"}
            axes.plot(*points.T, linestyle="", color=colours[cloud.person], markersize=4, rasterized=True, **style)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.set_aspect("equal", adjustable="datalim")

    shown = f"real images and outputs of {model}" if model else "real images"
    return render(paint, (3.6, 3.2), f"{what}: {shown}")
