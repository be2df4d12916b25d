"""A judge's embeddings: unit vectors of real images and of outputs, and cosines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from fsbench.report.run import REFERENCES, RunContents
from fsbench.results import ModelRecord
from fsbench.sampling import evenly


@dataclass(frozen=True)
class FaceVectors:
    """Unit vectors of images and who they show; `rows` has the identity and session of each."""

    vectors: np.ndarray  # (N, D), NaN where no face was found
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> FaceVectors:
        """Return the images that a list of positions or a boolean mask names."""
        return FaceVectors(self.vectors[index], self.rows[index] if index.dtype == bool else self.rows.iloc[index])

    def column(self, name: str) -> np.ndarray:
        """One column of the rows, as text."""
        return self.rows[name].astype(str).to_numpy(dtype=object)

    def of(self, identity: str) -> FaceVectors:
        """Return the images of one identity."""
        return self.take(self.column("identity") == identity)

    def thinned(self, limit: int) -> FaceVectors:
        """Return evenly spread images, at most `limit` of them."""
        return self.take(evenly(len(self), limit))

    def ordered(self, *columns: str) -> FaceVectors:
        """Return the images ordered by some columns, the first one first."""
        return self.take(np.lexsort([self.column(name) for name in reversed(columns)]))


@dataclass(frozen=True)
class View:
    """The embeddings of one judge in a run."""

    judge: str
    swapped: FaceVectors  # held-out images of the people that are swapped
    strangers: FaceVectors
    outputs: tuple[tuple[str, FaceVectors], ...]  # by model; rows also have `source`, `identity` is the target's


def view(run: RunContents, judge: str, models: Sequence[ModelRecord]) -> View:
    """Collect a judge's stored embeddings of some models, all ordered by identity and session."""
    assert run.references is not None  # without it there are no features
    features = run.features[judge]
    real = FaceVectors(features[REFERENCES], run.references).ordered("identity", "session")
    split = real.column("split")
    outputs = (
        (model.name, FaceVectors(features[model.name], run.of(model.name)).ordered("source", "identity", "session"))
        for model in models
        if model.name in features
    )
    return View(judge, real.take(split == "test"), real.take(split == "gallery"), tuple(outputs))


def cosine(a: FaceVectors, b: FaceVectors) -> np.ndarray:
    """Cosines of all pairs, (N, M); NaN where no face was found."""
    with np.errstate(invalid="ignore"):
        return np.asarray(a.vectors @ b.vectors.T)


def same(a: FaceVectors, b: FaceVectors, name: str, name_b: str = "") -> np.ndarray:
    """Whether the images of a pair agree in a column, (N, M)."""
    codes_a, codes_b = _common_codes(a.column(name), b.column(name_b or name))
    return np.asarray(codes_a[:, None] == codes_b[None, :])


def other_scene(a: FaceVectors, b: FaceVectors) -> np.ndarray:
    """Whether the images of a pair are not of one session, (N, M); an output is of its target's."""
    codes_a, codes_b = _common_codes(_scenes(a), _scenes(b))
    return np.asarray(codes_a[:, None] != codes_b[None, :])


def block_means(a: FaceVectors, b: FaceVectors, limit: int) -> np.ndarray:
    """Cosines of all pairs, averaged in blocks of neighbours to at most `limit` rows and columns.

    The mean of a block of cosines is the product of two mean vectors, so that the (N, M) matrix is never made. NaN
    only where no image of a block has a face.
    """
    means = []
    for people in (a, b):
        n_blocks = min(len(people), limit)
        total, count = _sums(people, np.arange(len(people)) * n_blocks // max(len(people), 1), n_blocks)
        means.append(_divide(total, count[:, None]))
    return np.asarray(means[0] @ means[1].T)


def scene_means(a: FaceVectors, groups_a: np.ndarray, b: FaceVectors, groups_b: np.ndarray, n: int) -> np.ndarray:
    """Mean cosine of each group of `a` with each group of `b`, (n, n), without the pairs of one session.

    Groups are numbers below `n`, one for each image. NaN where no pair is left. The sum over all pairs of two groups
    is the product of the groups' sums; so is that over the pairs of one session, which are taken off again.
    """
    scenes_a, scenes_b = _common_codes(_scenes(a), _scenes(b))
    (sum_a, count_a), (sum_b, count_b) = _sums(a, groups_a, n), _sums(b, groups_b, n)
    total, count = sum_a @ sum_b.T, np.outer(count_a, count_b)
    (parts_a, sum_a, count_a), (parts_b, sum_b, count_b) = _parts(a, groups_a, scenes_a), _parts(b, groups_b, scenes_b)
    shared = parts_a.merge(parts_b, on="scene")
    groups = shared["group_x"].to_numpy(), shared["group_y"].to_numpy()
    part_a, part_b = shared["part_x"].to_numpy(), shared["part_y"].to_numpy()
    np.subtract.at(total, groups, np.einsum("kd,kd->k", sum_a[part_a], sum_b[part_b]))
    np.subtract.at(count, groups, count_a[part_a] * count_b[part_b])
    return _divide(total, count)


def _parts(people: FaceVectors, groups: np.ndarray, scenes: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """What a group has of a session: a table of `group`, `scene` and `part`, and sums and counts by part."""
    table = pd.DataFrame({"group": groups, "scene": scenes})
    part = table.groupby(["group", "scene"]).ngroup().to_numpy()
    total, count = _sums(people, part, int(part.max(initial=-1)) + 1)
    return table.assign(part=part).drop_duplicates(), total, count


def mean_without_self(people: FaceVectors) -> float:
    """Mean cosine of all pairs of two different images of one set; NaN where there is none."""
    total, count = _sums(people, np.zeros(len(people), np.int64), 1)
    squares = np.square(people.vectors[np.isfinite(people.vectors).all(1)], dtype=np.float64).sum()
    return float(_divide(np.square(total).sum(1) - squares, count * (count - 1))[0])


def finite(tables: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers in some tables; 0 and 1 where there is none, so that there always is a range."""
    parts = [table[np.isfinite(table)] for table in tables]
    return np.concatenate(parts) if any(map(len, parts)) else np.array([0.0, 1.0])


def _sums(people: FaceVectors, groups: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the vectors of each group (n, D), and how many these are (n,); images without a face are left out."""
    known = np.flatnonzero(np.isfinite(people.vectors).all(1))
    member = sparse.csr_array((np.ones(len(known)), (groups[known], known)), shape=(n, len(people)))
    return member @ people.vectors, np.bincount(groups[known], minlength=n).astype(np.float64)


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _scenes(people: FaceVectors) -> np.ndarray:
    """A name for the session that each image is of; sessions of two people may have one name."""
    return np.asarray(people.column("identity") + "\0" + people.column("session"))


def _common_codes(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal numbers for equal texts: a million pairs of texts take a second, of numbers a millisecond."""
    codes, _ = pd.factorize(np.concatenate([a, b]))
    return codes[: len(a)], codes[len(a) :]
