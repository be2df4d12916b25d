"""Balls of nearest neighbours on points whose distances are plain to see, and against torch-fidelity."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fsbench.stats import neighbours
from fsbench.stats.neighbours import hits, radii

LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]])


def test_radii_on_a_line() -> None:
    assert radii(LINE, 1) == pytest.approx(np.array([1, 1, 4, 9, 16]))
    assert radii(LINE, 2) == pytest.approx(np.array([9, 4, 9, 16, 49]))


def test_points_of_one_group_are_no_neighbours() -> None:
    assert radii(LINE, 1, np.array([0, 0, 1, 1, 2])) == pytest.approx(np.array([9, 4, 4, 16, 16]))


def test_hits_on_a_line() -> None:
    balls, held = hits(np.array([[0.5], [3.0], [20.0]]), LINE, radii(LINE, 1))
    assert balls.tolist() == [2, 1, 0]
    assert held.tolist() == [1, 1, 1, 0, 0]  # (3, 9): 3 is on the surface of 6's ball


@pytest.mark.parametrize("shift", [0.0, 1000.0])  # where rounding is a million times larger
def test_a_copy_has_its_neighbours_but_not_the_one_on_the_surface(shift: float) -> None:
    points = np.random.default_rng(0).normal(size=(60, 30)) + shift
    balls, held = hits(points, points, radii(points, 5))
    assert held.tolist() == [5] * 60
    assert balls.sum() == 300


@pytest.mark.parametrize("block", [7, 64])
def test_tiles_make_no_difference(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    points, centres = random.normal(size=(50, 4)), random.normal(size=(40, 4))
    radius = radii(centres, 3)
    whole = hits(points, centres, radius)
    monkeypatch.setattr(neighbours, "BLOCK", block)
    assert radii(centres, 3) == pytest.approx(radius, rel=1e-9)
    for found, expected in zip(hits(points, centres, radius), whole, strict=True):
        assert found.tolist() == expected.tolist()


def test_agreement_with_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    import torch

    random = np.random.default_rng(1)
    x, y = random.normal(size=(200, 8)) * 0.9 + 0.2, random.normal(size=(150, 8))
    precision, recall = theirs.calculate_precision_recall_full(torch.from_numpy(x), torch.from_numpy(y), 3)
    assert (hits(x, y, radii(y, 3))[0] > 0).mean() == pytest.approx(precision, rel=1e-6)
    assert (hits(y, x, radii(x, 3))[0] > 0).mean() == pytest.approx(recall, rel=1e-6)
    assert 0.1 < recall < precision < 0.99


def test_what_has_no_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 5 different images, there are 5"):
        radii(LINE, 5)
    with pytest.raises(ValueError, match="there are 2"):
        radii(LINE, 2, np.array([0, 0, 0, 0, 1]))
    with pytest.raises(ValueError, match="finite"):
        radii(np.where(LINE == 3, np.nan, LINE), 1)


def test_memory_does_not_grow_with_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 100)

    def peak(n: int) -> int:
        points = np.random.default_rng(0).normal(size=(n, 2))
        tracemalloc.start()
        hits(points, points, radii(points, 3))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(4000) - peak(2000) < 2000 * 300  # bytes a row; a matrix would have 96 MB more
