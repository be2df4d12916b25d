"""What a judge sees: cosines between images of people, and between outputs and people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from fsbench.report.plots import GREY, WIDTH, colours, render, short
from fsbench.report.run import REFERENCES, Run
from fsbench.report.tables import number

CELLS_LIMIT = 160                                       # rows or columns of a heatmap; larger ones are averaged in blocks
ROWS_LIMIT = 2000                                       # images a histogram takes its pairs from
COLOURS = "viridis"


@dataclass(frozen=True)
class People:
    """Unit vectors of images and who they show; `rows` has identity and session of each."""

    vectors: np.ndarray                                 # (N, D)
    rows: pd.DataFrame

    def where(self, keep: np.ndarray) -> People:
        """Return the images that a boolean mask names."""
        return People(self.vectors[keep], self.rows[keep].reset_index(drop=True))

    def column(self, name: str) -> np.ndarray:
        """One column of the rows, as text."""
        return self.rows[name].astype(str).to_numpy(dtype=object)


@dataclass(frozen=True)
class Matrix:
    """A table of cosines; the mean is over `counted` ones only."""

    title: str
    cosines: np.ndarray                                 # (N, M), NaN where no face was found
    counted: np.ndarray                                 # (N, M) bool
    row_labels: np.ndarray
    column_labels: np.ndarray
    axes: tuple[str, str]                               # what rows and columns are

    @property
    def mean(self) -> str:
        """Printed mean of the counted cosines."""
        values = self.cosines[self.counted & np.isfinite(self.cosines)]
        return number(float(values.mean()), 3) if values.size else "none"


@dataclass(frozen=True)
class Panel:
    """A heatmap and the line above it."""

    title: str
    mean: str
    figure: Markup


@dataclass(frozen=True)
class JudgeView:
    """All figures of one judge."""

    judge: str
    histogram: Markup
    scale: Markup
    groups: tuple[tuple[str, tuple[Panel, ...]], ...]   # "real images" and the models


def views(run: Run) -> list[JudgeView]:
    """Return the figures of every judge whose features were stored."""
    return [_view(run, judge.name) for judge in run.result.judges if judge.name in run.features and run.references is not None]


def people(run: Run, judge: str) -> tuple[People, People]:
    """Return held-out images of the people that are swapped, ordered by identity and session, and the strangers'."""
    assert run.references is not None
    everyone = People(run.features[judge][REFERENCES], run.references)
    split, order = everyone.column("split"), np.lexsort((everyone.column("session"), everyone.column("identity")))
    swapped, strangers = (order[split[order] == name] for name in ("test", "gallery"))
    return (People(everyone.vectors[swapped], everyone.rows.iloc[swapped].reset_index(drop=True)),
            People(everyone.vectors[strangers], everyone.rows.iloc[strangers].reset_index(drop=True)))


def outputs(run: Run, judge: str) -> Iterator[tuple[str, People]]:
    """Yield the outputs of each model that has features, ordered by source, target and the target's session."""
    for model in run.result.models:
        if model.name in run.features[judge]:
            rows = run.of(model.name)
            order = rows.astype({"session": str}).sort_values(["source", "identity", "session"], kind="stable").index.to_numpy()
            yield model.name, People(run.features[judge][model.name][order], rows.iloc[order].reset_index(drop=True))


def cosine(a: People, b: People) -> np.ndarray:
    """(N, D) and (M, D) unit vectors -> (N, M)."""
    with np.errstate(invalid="ignore"):                 # rows of NaN are images without a face
        return a.vectors @ b.vectors.T


def same(a: People, b: People, name: str) -> np.ndarray:
    """(N, M) whether images agree in a column."""
    agree: np.ndarray = a.column(name)[:, None] == b.column(name)[None, :]
    return agree


def other_scene(a: People, b: People) -> np.ndarray:
    """(N, M) whether two images are not of one session; an output is of its target's."""
    return ~(same(a, b, "identity") & same(a, b, "session"))


# ------------------------------------------------------------------------------------------------------- heatmaps

def _view(run: Run, judge: str) -> JudgeView:
    swapped, strangers = people(run, judge)
    of_models = list(outputs(run, judge))
    names = list(dict.fromkeys(swapped.column("identity")))
    if len(names) <= 2:
        groups = [("Real images", _real_pair(swapped, names))] + [(model, _model_pair(made, swapped)) for model, made in of_models]
    else:
        real = _by_identity("Real images", swapped, swapped, "identity", names)
        groups = [("Real images", [real])] + [(model, [_by_identity("Outputs", made, swapped, "source", names)]) for model, made in of_models]
    seen = np.concatenate([matrix.cosines[np.isfinite(matrix.cosines)] for _, matrices in groups for matrix in matrices] or [np.zeros(1)])
    low, high = (np.quantile(seen, [0.01, 0.99]) if seen.size else (0.0, 1.0))
    norm = Normalize(np.floor(20 * low) / 20, max(np.ceil(20 * high) / 20, np.floor(20 * low) / 20 + 0.05))
    panels = tuple((title, tuple(_heatmap(matrix, norm, f"{title}: {matrix.title}, {judge}") for matrix in matrices))
                   for title, matrices in groups if matrices)
    return JudgeView(judge, _histogram(run, judge, swapped, strangers, of_models), _scale(norm, judge), panels)


def _real_pair(swapped: People, names: Sequence[str]) -> list[Matrix]:
    parts = {name: swapped.where(swapped.column("identity") == name) for name in names}
    pairs = [(name, name) for name in names] + list(combinations(names, 2))
    matrices = []
    for a, b in pairs:
        counted = other_scene(parts[a], parts[b])
        if not counted.any():                           # one session only: all pairs but an image with itself
            counted = ~np.eye(len(counted), dtype=bool)
        matrices.append(Matrix(f"{short(a)} × {short(b)}", cosine(parts[a], parts[b]), counted, parts[a].column("session"),
                               parts[b].column("session"), (f"images of {short(a)}", f"images of {short(b)}")))
    return matrices


def _model_pair(made: People, swapped: People) -> list[Matrix]:
    """Outputs of each direction, against the source's images and against the target's."""
    matrices = []
    for (source, target), _ in made.rows.groupby(["source", "identity"], sort=True):
        part = made.where((made.column("source") == str(source)) & (made.column("identity") == str(target)))
        for role, name in (("source", str(source)), ("target", str(target))):
            reference = swapped.where(swapped.column("identity") == name)
            matrices.append(Matrix(
                f"{short(str(source))} into {short(str(target))} × the {role}, {short(name)}", cosine(part, reference),
                other_scene(part, reference), part.column("session"), reference.column("session"), ("outputs", f"images of {short(name)}")))
    return [matrix for matrix in matrices if matrix.cosines.size]


def _by_identity(title: str, a: People, b: People, role: str, names: Sequence[str]) -> Matrix:
    """Mean cosines between groups of images, a cell per pair of identities; pairs of one session are left out."""
    values, usable = cosine(a, b), other_scene(a, b)
    means = np.full((len(names), len(names)), np.nan)
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            block = np.ix_(a.column(role) == name, b.column("identity") == other)
            chosen = values[block][usable[block] & np.isfinite(values[block])]
            means[i, j] = chosen.mean() if chosen.size else np.nan
    labels = np.array([short(name, 14) for name in names], dtype=object)
    diagonal = np.eye(len(names), dtype=bool)           # the mean that matters: same person, or output and its source
    return Matrix(title, means, diagonal, labels, labels, ("source" if role == "source" else "identity", "identity"))


def _heatmap(matrix: Matrix, norm: Normalize, alt: str) -> Panel:
    cells = _block_mean(_block_mean(matrix.cosines, CELLS_LIMIT).T, CELLS_LIMIT).T

    def draw(axes: Axes) -> None:
        rows, columns = matrix.cosines.shape
        axes.imshow(cells, cmap=COLOURS, norm=norm, interpolation="none", aspect="auto", extent=(0, columns, rows, 0))
        axes.set_facecolor(GREY)                        # shows through where no face was found
        axes.set_ylabel(matrix.axes[0], fontsize=8)
        axes.set_xlabel(matrix.axes[1], fontsize=8)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=6.5, pad=2)
        _sessions(matrix.row_labels, axes.axhline, axes.set_yticks)
        _sessions(matrix.column_labels, axes.axvline, axes.set_xticks)
        axes.tick_params(axis="x", rotation=90)

    return Panel(matrix.title, matrix.mean, render(draw, (2.5, 2.5), alt))


def _sessions(labels: np.ndarray, line: object, ticks: object) -> None:
    """Draw the boundaries between runs of equal labels, and name the runs where there is room."""
    assert callable(line)
    assert callable(ticks)
    edges = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])) if len(labels) else np.zeros(0, int)
    for edge in edges[1:] if len(edges) <= 40 else ():
        line(edge, color="white", linewidth=0.5, alpha=0.7)
    ends = np.append(edges[1:], len(labels))
    ticks((edges + ends) / 2, [short(str(labels[edge]), 10) for edge in edges]) if len(edges) <= 14 else ticks([])


def _block_mean(matrix: np.ndarray, limit: int) -> np.ndarray:
    """Average neighbouring rows so that at most `limit` are left; NaN only where a whole block is."""
    if len(matrix) <= limit:
        return matrix
    starts = np.linspace(0, len(matrix), limit, endpoint=False).astype(int)
    finite = np.isfinite(matrix)
    total, count = (np.add.reduceat(part, starts, axis=0) for part in (np.where(finite, matrix, 0), finite.astype(int)))
    means: np.ndarray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def _scale(norm: Normalize, judge: str) -> Markup:
    def draw(axes: Axes) -> None:
        figure = axes.get_figure()
        assert figure is not None
        bar = figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal", extend="both")
        bar.set_label(f"cosine, {judge}")

    return render(draw, (3.4, 0.6), f"Colour scale of the heatmaps of {judge}")


# ------------------------------------------------------------------------------------------------------ histograms

def _histogram(run: Run, judge: str, swapped: People, strangers: People, of_models: Sequence[tuple[str, People]]) -> Markup:
    """A line of histograms for real images and one for each model, over the same cosines."""
    real = _thin(People(np.concatenate([swapped.vectors, strangers.vectors]), pd.concat([swapped.rows, strangers.rows], ignore_index=True)))
    apart = np.triu(other_scene(real, real), 1)
    between, owner = cosine(real, real), same(real, real, "identity")
    lines = [("real images", [("impostor", between[apart & ~owner]), ("genuine", between[apart & owner])])]
    for model, every in of_models:
        made = _thin(every)
        to_people, usable = cosine(made, swapped), other_scene(made, swapped)
        to_source = made.column("source")[:, None] == swapped.column("identity")[None, :]
        lines.append((model, [("strangers", cosine(made, _thin(strangers)).ravel()), ("target", to_people[usable & same(made, swapped, "identity")]),
                              ("source", to_people[to_source])]))
    seen = np.concatenate([values[np.isfinite(values)] for _, parts in lines for _, values in parts])
    low, high = (np.quantile(seen, [0.001, 0.999]) if seen.size else (0.0, 1.0))
    edges = np.linspace(low, max(high, low + 0.01), 61)
    colour = colours(run)

    def draw(axes: Axes) -> None:
        for y, (title, parts) in enumerate(lines):
            for kind, values in parts:
                _ridge(axes, edges, values[np.isfinite(values)], y, kind, colour.get(title, GREY))
        axes.set_yticks(range(len(lines)), [short(title) for title, _ in lines])
        axes.set_ylim(len(lines) - 0.9, -1.0)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"cosine, {judge}")

    return render(draw, (1.35 * WIDTH, 0.8 + 0.5 * len(lines)), f"Cosines of real images and of each model's outputs, {judge}")


def _ridge(axes: Axes, edges: np.ndarray, values: np.ndarray, y: float, kind: str, colour: str) -> None:
    """One histogram standing on the line `y`, its peak 0.85 high."""
    counts, _ = np.histogram(values, edges)
    if not counts.any():
        return
    heights = np.repeat(y - 0.85 * counts / counts.max(), 2)
    x = np.repeat(edges, 2)[1:-1]
    if kind in ("source", "genuine"):
        axes.fill_between(x, heights, y, color=colour, alpha=0.55, linewidth=0)
    elif kind == "target":
        axes.plot(x, heights, color=colour, linewidth=1.1)
    else:
        axes.plot(x, heights, color=GREY, linewidth=0.9, linestyle=":")


def _thin(everyone: People) -> People:
    """Evenly spread images, at most ROWS_LIMIT of them."""
    n = len(everyone.rows)
    keep = np.zeros(n, dtype=bool)
    keep[np.linspace(0, n - 1, min(n, ROWS_LIMIT)).round().astype(int)] = True
    return everyone.where(keep)
