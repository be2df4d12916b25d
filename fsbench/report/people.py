"""What a judge sees: unit vectors of real images and of outputs, and cosines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fsbench.report.run import REFERENCES, Run
from fsbench.results import ModelRecord


@dataclass(frozen=True)
class People:
    """Unit vectors of images and who they show; `rows` has the identity and session of each."""

    vectors: np.ndarray                                 # (N, D), NaN where no face was found
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> People:
        """Return the images that a list of positions or a boolean mask names."""
        return People(self.vectors[index], self.rows[index] if index.dtype == bool else self.rows.iloc[index])

    def column(self, name: str) -> np.ndarray:
        """One column of the rows, as text."""
        return self.rows[name].astype(str).to_numpy(dtype=object)

    def of(self, identity: str) -> People:
        """Return the images of one identity."""
        return self.take(self.column("identity") == identity)

    def thinned(self, limit: int) -> People:
        """Return evenly spread images, at most `limit` of them."""
        return self.take(np.linspace(0, len(self) - 1, min(len(self), limit)).round().astype(int))

    def ordered(self, *columns: str) -> People:
        """Return the images ordered by some columns, the first one first."""
        return self.take(np.lexsort([self.column(name) for name in reversed(columns)]))


@dataclass(frozen=True)
class View:
    """Everything that one judge saw in a run."""

    judge: str
    swapped: People                                     # held-out images of the people that are swapped
    strangers: People
    outputs: tuple[tuple[str, People], ...]             # by model; rows also have `source`, `identity` is the target's


def view(run: Run, judge: str, models: Sequence[ModelRecord]) -> View:
    """Collect what a judge with stored features saw of some models, all ordered by identity and session."""
    assert run.references is not None                   # without it there are no features
    features = run.features[judge]
    real = People(features[REFERENCES], run.references).ordered("identity", "session")
    split = real.column("split")
    outputs = ((model.name, People(features[model.name], run.of(model.name)).ordered("source", "identity", "session"))
               for model in models if model.name in features)
    return View(judge, real.take(split == "test"), real.take(split == "gallery"), tuple(outputs))


def cosine(a: People, b: People) -> np.ndarray:
    """Cosines of all pairs, (N, M); NaN where no face was found."""
    with np.errstate(invalid="ignore"):
        return np.asarray(a.vectors @ b.vectors.T)


def same(a: People, b: People, name: str, name_b: str = "") -> np.ndarray:
    """Whether the images of a pair agree in a column, (N, M)."""
    return np.asarray(a.column(name)[:, None] == b.column(name_b or name)[None, :])


def other_scene(a: People, b: People) -> np.ndarray:
    """Whether the images of a pair are not of one session, (N, M); an output is of its target's."""
    return np.asarray(~(same(a, b, "identity") & same(a, b, "session")))


def finite(tables: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers in some tables; 0 and 1 where there is none, so that there always is a range."""
    seen = np.concatenate([np.zeros(0), *(table[np.isfinite(table)] for table in tables)])
    return seen if seen.size else np.array([0.0, 1.0])
