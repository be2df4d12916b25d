"""Maps: deterministic, cached, and nothing is drawn of too few faces."""

from __future__ import annotations

import numpy as np
import pytest

from fsbench.harness import umap
from fsbench.interfaces import Context


def groups(n: int = 20) -> dict[str, np.ndarray]:
    """Two people far apart, real and swapped."""
    random = np.random.default_rng(0)
    centres = np.eye(8)[[0, 4]]
    vectors = {name: np.repeat(centres, n, 0) + 0.05 * random.normal(size=(2 * n, 8)) for name in ("", "a_model")}
    return {name: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for name, v in vectors.items()}


def test_two_people_are_two_islands(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    given = groups()
    given["a_model"][3] = np.nan
    table = umap.layout("judge", given, 0, fresh_context)
    assert len(table) == 79
    assert not ((table["model"] == "a_model") & (table["row"] == 3)).any()
    person = table["row"] // 20
    for columns in (["x2", "y2"], ["x3", "y3", "z3"]):
        points = table[columns].to_numpy()
        centres = [points[person == k].mean(0) for k in (0, 1)]
        spread = max(np.linalg.norm(points[person == k] - centres[k], axis=1).max() for k in (0, 1))
        assert np.linalg.norm(centres[0] - centres[1]) > spread

    from umap import umap_  # takes seconds, and warns where nobody has imported it before

    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths, umap_.fast_knn_indices):
        assert function.stats.cache_path  # numba keeps what it compiles for other processes

    monkeypatch.setattr(umap, "_umap", None)  # the second time it comes out of the cache
    assert umap.layout("judge", given, 0, fresh_context).equals(table)


def test_too_few_faces_make_no_map(fresh_context: Context) -> None:
    table = umap.layout("judge", {"": groups(4)[""]}, 0, fresh_context)
    assert len(table) == 0
    assert set(umap.COORDINATES) <= set(table)


def test_of_many_faces_some_are_drawn(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap, "POINTS", 15)
    monkeypatch.setattr(umap, "_umap", lambda points, dimensions, seed: np.zeros((len(points), dimensions)))
    table = umap.layout("judge", groups(), 0, fresh_context)
    assert len(table) == 15
    assert set(table["model"]) == {"", "a_model"}
