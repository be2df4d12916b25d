"""Cosines as pictures: real images with real images, and each model's outputs with real images."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.ticker import MaxNLocator
from PIL import Image

from fsbench.numbers import number
from fsbench.report import budget
from fsbench.report.people import FaceVectors, View, block_means, finite, mean_without_self, scene_means
from fsbench.report.plots import GREY, render, short

CELLS_LIMIT = 160  # rows or columns; larger matrices are averaged in blocks
CELLS_LEAST = 16  # the same where there are more heatmaps than a page has room for
CELL_BYTES = 4 / 3  # of a cell on the page
LINES_LIMIT, NAMES_LIMIT = 40, 14  # sessions along an axis that are drawn, and that are named
COLOURS = colormaps["viridis"]  # and grey where no face was found


@dataclass(frozen=True)
class Matrix:
    """A table of cosines as it is drawn, and the mean of those that count."""

    title: str
    cells: np.ndarray  # at most CELLS_LIMIT rows and columns, NaN where no face was found
    mean: float  # NaN where no cosine counts
    labels: tuple[np.ndarray, np.ndarray]  # of all rows (N,) and columns (M,); runs of equals are one session
    axes: tuple[str, str]  # what rows and columns are


@dataclass(frozen=True)
class Axis:
    """What stands along a side of a heatmap; places are shares of the side."""

    name: str
    lines: tuple[float, ...]  # boundaries of sessions
    sessions: tuple[tuple[float, str], ...]  # where they are named


@dataclass(frozen=True)
class Heatmap:
    """A heatmap and what stands above it.

    The template writes its SVG: a page has dozens of these, and matplotlib takes a tenth of a second for each.
    """

    title: str
    mean: str
    alt: str
    image: str  # data URI
    rows: Axis
    columns: Axis


@dataclass(frozen=True)
class Heatmaps:
    """All heatmaps of one judge on one colour scale."""

    scale: Markup
    groups: tuple[tuple[str, tuple[Heatmap, ...]], ...]  # real images, then each model


def draw_all(view: View, room: float = budget.HEATMAPS) -> Heatmaps:
    """Draw every image for two people, and means by identity for more, in about `room` bytes."""
    names = list(dict.fromkeys(view.swapped.column("identity")))
    if len(names) <= 2:
        groups = [("Real images", _real_pair(view.swapped, names))]
        groups += [(model, _model_pair(made, view.swapped)) for model, made in view.outputs]
    else:
        groups = [("Real images", [_by_identity("identity", view.swapped, view.swapped, names)])]
        groups += [(model, [_by_identity("source", made, view.swapped, names)]) for model, made in view.outputs]
    cosines = finite([matrix.cells for _, group in groups for matrix in group])
    low, high = (20 * np.quantile(cosines, [0.01, 0.99])).round(4)  # rounding has made some cosines more than 1
    norm = Normalize(np.floor(low) / 20, max(np.ceil(high), np.floor(low) + 1) / 20)
    n_cells = room / CELL_BYTES / sum(len(group) for _, group in groups)
    limit = max(CELLS_LEAST, math.isqrt(int(n_cells)))
    panels = [
        (
            title,
            [_heatmap(matrix, norm, f"{title}: {matrix.title}, {view.judge}", limit) for matrix in _with_faces(group)],
        )
        for title, group in groups
    ]
    return Heatmaps(_scale(norm, view.judge), tuple((title, tuple(drawn)) for title, drawn in panels))


def _with_faces(group: Sequence[Matrix]) -> list[Matrix]:
    return [matrix for matrix in group if np.isfinite(matrix.cells).any()]


def _real_pair(swapped: FaceVectors, names: Sequence[str]) -> list[Matrix]:
    matrices = []
    for a, b in [*((name, name) for name in names), *combinations(names, 2)]:
        rows, columns = swapped.of(a), swapped.of(b)
        mean = _mean(rows, columns)
        if a == b and np.isnan(mean):  # one session only: all pairs but an image with itself
            mean = mean_without_self(rows)
        matrices.append(_between(f"{short(a)} × {short(b)}", rows, columns, mean, f"images of {short(a)}"))
    return matrices


def _model_pair(made: FaceVectors, swapped: FaceVectors) -> list[Matrix]:
    """Outputs of each direction, with the source's images and with the target's."""
    matrices = []
    for source, target in dict.fromkeys(zip(made.column("source"), made.column("identity"), strict=True)):
        part = made.take((made.column("source") == source) & (made.column("identity") == target))
        for role, name in (("source", source), ("target", target)):
            person = swapped.of(name)
            if len(person):
                title = f"{short(source)} into {short(target)} × {role} {short(name)}"
                matrices.append(_between(title, part, person, _mean(part, person), "outputs"))
    return matrices


def _mean(rows: FaceVectors, columns: FaceVectors) -> float:
    """Mean of all cosines but those of one session."""
    groups = [np.zeros(len(people), np.int64) for people in (rows, columns)]
    return float(scene_means(rows, groups[0], columns, groups[1], 1)[0, 0])


def _between(title: str, rows: FaceVectors, columns: FaceVectors, mean: float, what: str) -> Matrix:
    labels = rows.column("session"), columns.column("session")
    person = columns.column("identity")[0]
    cells = block_means(rows, columns, CELLS_LIMIT)
    return Matrix(title, cells, mean, labels, (what, f"images of {short(person)}"))


def _by_identity(role: str, rows: FaceVectors, columns: FaceVectors, names: Sequence[str]) -> Matrix:
    """Means over groups of images, without pairs of one session; the mean of the diagonal is the one that matters."""
    place = {name: i for i, name in enumerate(names)}
    rows = rows.take(np.array([name in place for name in rows.column(role)], dtype=bool))
    groups = [
        np.array([place[name] for name in column], dtype=np.int64)
        for column in (rows.column(role), columns.column("identity"))
    ]
    means = scene_means(rows, groups[0], columns, groups[1], len(names))
    known = np.diag(means)[np.isfinite(np.diag(means))]
    labels = np.array([short(name, 14) for name in names], dtype=object)
    title = "outputs by source × identities, diagonal" if role == "source" else "identities × identities, diagonal"
    return Matrix(title, means, float(known.mean()) if known.size else np.nan, (labels, labels), (role, "identity"))


def _heatmap(matrix: Matrix, norm: Normalize, alt: str, limit: int) -> Heatmap:
    mean = "none" if np.isnan(matrix.mean) else number(matrix.mean, 3)
    rows, columns = (_axis(name, labels) for name, labels in zip(matrix.axes, matrix.labels, strict=True))
    return Heatmap(matrix.title, mean, alt, _image(averaged(matrix.cells, limit), norm), rows, columns)


def averaged(cells: np.ndarray, limit: int) -> np.ndarray:
    """Cells (N, M) averaged in blocks, so that there are at most `limit` rows and columns; NaN does not count.

    >>> averaged(np.array([[1.0, 3.0, np.nan], [1.0, 3.0, 5.0]]), 2)
    array([[ 2., nan],
           [ 2.,  5.]])
    """
    known = np.isfinite(cells)
    sums, counts = np.where(known, cells, 0.0), known.astype(float)
    for axis, n in enumerate(cells.shape):
        if n > limit:
            starts = np.arange(0, n, -(-n // limit))
            sums, counts = (np.add.reduceat(part, starts, axis=axis) for part in (sums, counts))
    means: np.ndarray = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def _axis(name: str, labels: np.ndarray) -> Axis:
    """Find the boundaries between runs of equal labels, and name the runs, where there is room."""
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    middles = (starts + np.append(starts[1:], len(labels))) / 2
    lines = starts[1:] / len(labels) if len(starts) <= LINES_LIMIT else ()
    named = zip(middles / len(labels), labels[starts], strict=True) if len(starts) <= NAMES_LIMIT else ()
    return Axis(name, tuple(map(float, lines)), tuple((float(at), short(str(label), 10)) for at, label in named))


def _image(cells: np.ndarray, norm: Normalize) -> str:
    """Cells as a PNG of 256 colours in a data URI, the last of which is grey."""
    levels = np.ma.filled(np.clip(norm(cells), 0, 1), np.nan) * 254
    image = Image.fromarray(np.where(np.isfinite(cells), levels.round(), 255).astype(np.uint8), "P")
    colours = [*COLOURS(np.arange(255) / 254)[:, :3], to_rgb(GREY)]
    image.putpalette(np.round(255 * np.array(colours)).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _scale(norm: Normalize, judge: str) -> Markup:
    def draw(axes: Axes) -> None:
        figure = axes.get_figure(root=True)
        assert figure is not None
        bar = figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal", extend="both")
        bar.locator = MaxNLocator(5)
        bar.set_label(f"cosine, {judge}")

    return render(draw, (3.4, 0.6), f"Colour scale of the heatmaps of {judge}")
