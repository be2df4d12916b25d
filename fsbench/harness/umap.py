"""Maps of embeddings: UMAP in the plane and in space."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version

import numpy as np
import pandas as pd

from fsbench.interfaces import Context
from fsbench.sampling import evenly

POINTS = 3000
"""Images that a map shows at most; of more, evenly chosen ones."""

FEWEST = 12
"""Images below which there is no map: the method looks at neighbourhoods."""

NEIGHBOURS = 15
COORDINATES = ("x2", "y2", "x3", "y3", "z3")


def layout(judge: str, groups: Mapping[str, np.ndarray], seed: int, context: Context) -> pd.DataFrame:
    """Lay out unit vectors (N, D) by model; rows of umap.parquet, without those in which no face was found.

    UMAP: McInnes, Healy & Melville, arXiv 1802.03426, 2018; cosine distance, deterministic in `seed`. Cached.
    """
    table = pd.concat(
        [
            pd.DataFrame({"judge": judge, "model": model, "row": np.arange(len(vectors))})
            for model, vectors in groups.items()
        ],
        ignore_index=True,
    )
    vectors = np.concatenate(list(groups.values()))
    known = np.flatnonzero(np.isfinite(vectors).all(1))
    known = known[evenly(len(known), POINTS)]
    if len(known) < FEWEST:
        return table.iloc[:0].assign(**dict.fromkeys(COORDINATES, 0.0))
    points = np.ascontiguousarray(vectors[known])

    def compute() -> dict[str, np.ndarray]:
        context.log(f"{judge}: drawing a map of {len(points):,} faces")
        return {"coordinates": np.hstack([_umap(points, dimensions, seed) for dimensions in (2, 3)])}

    recipe = {
        "points": hashlib.sha256(points.tobytes()).hexdigest(),
        "seed": seed,
        "neighbours": NEIGHBOURS,
        "version": version("umap-learn"),
    }
    coordinates = context.store.arrays("umap", recipe, compute)["coordinates"]
    shown: pd.DataFrame = table.iloc[known].reset_index(drop=True)
    return shown.assign(**dict(zip(COORDINATES, coordinates.T, strict=True)))


def _umap(points: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # of a variant that needs TensorFlow
        from umap.umap_ import UMAP
    _keep_compiled()
    network = UMAP(
        n_components=dimensions,
        n_neighbors=min(NEIGHBOURS, len(points) - 1),
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(network.fit_transform(points), np.float32)


def _keep_compiled() -> None:
    """Let numba keep all that it compiles of umap-learn: what the package does not ask for takes 9 s a process."""
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_, utils

    for module in (umap_, layouts, utils):
        for function in vars(module).values():
            if isinstance(function, Dispatcher):
                with suppress(RuntimeError):  # there is no place to keep it in
                    function.enable_caching()
