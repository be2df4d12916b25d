"""Maps of points: neighbours stay neighbours, as in umap-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from fsbench.stats.umap import umap


def clusters(n: int, k: int, spread: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors about `k` centres, and which centre each is of."""
    random = np.random.default_rng(seed)
    label = random.integers(0, k, n)
    points = random.normal(size=(k, 32))[label] + spread * random.normal(size=(n, 32))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), label


@pytest.mark.parametrize("dimensions", [2, 3])
def test_neighbours_stay_neighbours(dimensions: int) -> None:
    points, _ = clusters(240, 8)
    place = umap(points, dimensions, 15, 0)
    assert place.shape == (240, dimensions)
    assert place.dtype == np.float32
    assert trustworthiness(points, place, n_neighbors=10, metric="cosine") > 0.95


@pytest.mark.slow
def test_maps_are_as_faithful_as_those_of_umap_learn() -> None:
    theirs = pytest.importorskip("umap.umap_")
    for n, k in ((60, 3), (300, 10)):
        points, _ = clusters(n, k)
        other = theirs.UMAP(n_components=2, n_neighbors=15, metric="cosine", random_state=0, n_jobs=1)
        ours, expected = (
            trustworthiness(points, place, n_neighbors=8, metric="cosine")
            for place in (umap(points, 2, 15, 0), other.fit_transform(points))
        )
        assert ours > expected - 0.02


def test_groups_are_apart() -> None:
    points, label = clusters(100, 2, spread=0.3)
    place = umap(points, 2, 15, 0)
    centres = np.stack([place[label == k].mean(0) for k in (0, 1)])
    own = np.linalg.norm(place - centres[label], axis=1).max()
    assert np.linalg.norm(centres[0] - centres[1]) > own


def test_a_map_is_deterministic_in_the_seed() -> None:
    points, _ = clusters(50, 3)
    assert np.array_equal(umap(points, 2, 15, 4), umap(points, 2, 15, 4))
    assert not np.array_equal(umap(points, 2, 15, 4), umap(points, 2, 15, 5))


@pytest.mark.parametrize(
    "points",
    [
        np.repeat(clusters(1, 1)[0], 20, 0),  # all alike
        np.tile(clusters(6, 2)[0], (5, 1)),  # copies
        clusters(12, 2)[0][:, :1] * 0 + 1,  # one dimension
        clusters(13, 1)[0],
    ],
    ids=["alike", "copies", "one dimension", "few"],
)
def test_odd_points_have_finite_places(points: np.ndarray) -> None:
    for dimensions in (2, 3):
        assert np.isfinite(umap(points, dimensions, 15, 0)).all()
