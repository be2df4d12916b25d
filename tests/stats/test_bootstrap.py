from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fsbench.stats.bootstrap import cluster_bootstrap, units


def mean_of(rows: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda drawn: float(rows[drawn].mean())


def interval(rows: np.ndarray, clusters: np.ndarray, **options: int) -> tuple[float, float]:
    found = cluster_bootstrap(mean_of(rows), clusters, np.zeros(len(rows)), **options)
    assert found is not None
    return found


def test_constant_rows_have_an_interval_of_no_width() -> None:
    assert interval(np.full(12, 3.0), np.repeat(np.arange(4), 3)) == (3.0, 3.0)


def test_it_is_deterministic_and_depends_on_the_seed() -> None:
    rows, clusters = np.random.default_rng(0).normal(size=40), np.repeat(np.arange(8), 5)
    assert interval(rows, clusters, seed=1) == interval(rows, clusters, seed=1) != interval(rows, clusters, seed=2)


def test_copies_of_an_image_add_no_certainty() -> None:
    once = np.random.default_rng(0).normal(size=10)
    one = interval(once, np.arange(10))
    many = interval(np.repeat(once, 20), np.repeat(np.arange(10), 20))
    assert many == pytest.approx(one, rel=1e-9)


def test_one_cluster_has_no_interval() -> None:
    assert cluster_bootstrap(mean_of(np.ones(5)), np.zeros(5), np.zeros(5)) is None
    strata = np.array([0, 0, 0, 1, 1])
    assert cluster_bootstrap(mean_of(np.ones(5)), np.array([0, 1, 2, 3, 3]), strata) is None


def test_a_difference_between_strata_does_not_widen_the_interval() -> None:
    rows = np.r_[np.full(10, 0.0), np.full(10, 100.0)] + np.random.default_rng(0).normal(size=20)
    low, high = cluster_bootstrap(mean_of(rows), np.arange(20), np.repeat([0, 1], 10)) or (0, 0)
    assert high - low < 3


@pytest.mark.parametrize(("between", "n_clusters"), [(0.0, 10), (0.6, 10), (0.6, 30)])
def test_coverage_is_what_it_says(between: float, n_clusters: int) -> None:
    """300 worlds of known mean 0, frames correlated within sessions; binomial error of the coverage is 1.3 points."""
    random, hits, worlds = np.random.default_rng(5), 0, 300
    clusters = np.repeat(np.arange(n_clusters), 5)
    for world in range(worlds):
        rows = np.sqrt(between) * random.normal(size=n_clusters)[clusters] + np.sqrt(1 - between) * random.normal(
            size=len(clusters)
        )
        low, high = interval(rows, clusters, resamples=300, seed=world)
        hits += low <= 0 <= high
    assert 0.91 <= hits / worlds <= 0.985


def test_a_centred_interval_lies_about_the_value_and_is_as_wide() -> None:
    """The largest of a sample only shrinks where rows are drawn again: its percentiles lie below it."""
    rows, clusters = np.random.default_rng(3).normal(size=30), np.arange(30)

    def largest(drawn: np.ndarray) -> float:
        return float(rows[drawn].max())

    plain = cluster_bootstrap(largest, clusters, np.zeros(30))
    moved = cluster_bootstrap(largest, clusters, np.zeros(30), centre=float(rows.max()))
    assert plain is not None
    assert moved is not None
    assert plain[1] == rows.max() < moved[1]
    assert moved[1] - moved[0] == pytest.approx(plain[1] - plain[0])


def test_resamples_without_a_value_are_left_out_unless_they_are_most() -> None:
    rows, clusters = np.random.default_rng(3).normal(size=20), np.arange(20)

    def without(row: int, copies: int) -> Callable[[np.ndarray], float]:
        return lambda drawn: math.nan if (drawn == row).sum() >= copies else float(rows[drawn].mean())

    assert cluster_bootstrap(without(0, 3), clusters, np.zeros(20), centre=0.5) is not None
    assert cluster_bootstrap(without(0, 1), clusters, np.zeros(20), centre=0.5) is None  # 64 % of the draws hold a row


@pytest.mark.parametrize(
    ("sessions", "whole"),
    [
        ([1, 1, 1, 1, 1, 1], True),  # one image of each person
        ([1, 2, 2, 2], True),  # somebody has one session
        ([3, 3, 1], True),
        ([2, 2, 2], False),
        ([5], False),
        ([1], False),  # nothing to draw again
        ([1, 1], False),  # two people are no sample of people
        ([3, 1], False),
    ],
)
def test_people_are_drawn_where_one_of_them_has_one_session(sessions: list[int], whole: bool) -> None:
    people = np.repeat([f"p{i}" for i in range(len(sessions))], sessions)
    labels = np.array([f"{person}/{i}" for i, person in enumerate(people)])
    clusters, strata, drawn = units(labels, people)
    assert drawn is whole
    assert (clusters == (people if whole else labels)).all()
    assert len(np.unique(strata)) == (1 if whole else len(sessions))
    rows = np.random.default_rng(1).normal(size=len(labels))
    assert (cluster_bootstrap(mean_of(rows), clusters, strata) is not None) == (whole or min(sessions) > 1)


def test_an_interval_over_people_covers_the_mean_of_all_people() -> None:
    random, hits, worlds = np.random.default_rng(8), 0, 300
    people = np.array([f"p{i}" for i in range(20)])
    for world in range(worlds):
        rows = random.normal(size=20)
        clusters, strata, _ = units(people, people)
        low, high = cluster_bootstrap(mean_of(rows), clusters, strata, resamples=300, seed=world) or (1, 0)
        hits += low <= 0 <= high
    assert 0.91 <= hits / worlds <= 0.985
