"""Designs, intervals and paired differences, against worlds whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbench.errors import NotScorable
from fsbench.stats.resampling import MOST_CLUSTERS, MOST_SUBSETS, Design, Difference, Draws, Mean, Spread, holm

Interval = tuple[float, float]


def sessions_of(sizes: list[int], people: int = 1, sources: int = 1, resamples: int = 1000, seed: int = 0) -> Design:
    """People in turn have the sessions, of so many samples each; sources take turns sample by sample."""
    session = np.repeat(np.arange(len(sizes)), sizes)
    return Design.of(session % people, session, np.arange(len(session)) % sources, resamples=resamples, seed=seed)


def spread(design: Design, rows: np.ndarray) -> Spread:
    return design.spread(design.resample(Mean(rows)))


def interval(design: Design, rows: np.ndarray) -> Interval:
    return spread(design, rows).interval(float(rows.mean()))


def difference(design: Design, a: np.ndarray, b: np.ndarray) -> Difference:
    return design.difference(float(a.mean() - b.mean()), design.resample(Mean(a)), design.resample(Mean(b)))


def test_constant_rows_have_an_interval_of_no_width() -> None:
    assert interval(sessions_of([3] * 4), np.full(12, 3.0)) == pytest.approx((3.0, 3.0))


def test_it_is_deterministic_and_depends_on_the_seed() -> None:
    rows = np.random.default_rng(0).normal(size=40)
    one, again, other = (interval(sessions_of([5] * 8, seed=seed), rows) for seed in (1, 1, 2))
    assert one == again != other


def test_copies_of_an_image_add_no_certainty() -> None:
    once = np.random.default_rng(0).normal(size=10)
    many = interval(sessions_of([20] * 10), np.repeat(once, 20))
    assert many == pytest.approx(interval(sessions_of([1] * 10), once), rel=1e-9)


def test_the_standard_error_of_a_mean_is_the_known_one() -> None:
    rows = np.random.default_rng(2).normal(size=12)
    known = spread(sessions_of([1] * 12, resamples=20000), rows)
    assert known.error == pytest.approx(rows.std(ddof=1) / math.sqrt(12), rel=0.02)
    assert known.degrees_of_freedom == pytest.approx(11)


def test_a_difference_between_people_does_not_widen_the_interval() -> None:
    rows = np.tile([0.0, 100.0], 10) + np.random.default_rng(0).normal(size=20)
    low, high = interval(sessions_of([1] * 20, people=2), rows)
    assert high - low < 3


@pytest.mark.parametrize(
    ("sizes", "people", "reason"),
    [
        ([5], 1, "1 session of targets is too few"),
        ([5, 5], 1, "2 sessions of targets are too few"),
        ([5, 5], 2, "2 sessions of targets are too few"),
        ([4, 4, 4], 2, "a target person has images of one session"),
        ([1, 2, 3, 4, 40], 1, "most samples are of one of the 5 sessions"),
        ([1, 1, 400], 3, "most samples are of one of the 3 people"),
        ([4, 4, 4], 1, ""),
        ([4, 4, 4, 4], 2, ""),
    ],
)
def test_too_few_clusters_are_a_reason_and_no_number(sizes: list[int], people: int, reason: str) -> None:
    design, rows = sessions_of(sizes, people), np.random.default_rng(0).normal(size=sum(sizes))
    assert design.reason.startswith(reason)
    assert bool(design.reason) is bool(reason)
    if reason:
        with pytest.raises(NotScorable, match=reason):
            difference(design, rows, rows + 1)
    else:
        assert difference(design, rows, rows[::-1]).p > 0


@pytest.mark.parametrize("icc", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(
    ("sizes", "people"),
    [([4] * 3, 1), ([3] * 4, 2), ([5] * 5, 1), ([2] * 10, 1), ([2] * 12, 3), ([2] * 50, 1), ([1, 5] * 8, 1)],
)
def test_intervals_and_differences_cover_what_they_say(sizes: list[int], people: int, icc: float) -> None:
    """1,500 worlds of mean 0: the binomial error of the coverage is .6 points. Two models share half the variance."""
    random, design = np.random.default_rng([5, len(sizes), people]), sessions_of(sizes, people)
    session, n = np.repeat(np.arange(len(sizes)), sizes), sum(sizes)

    def world() -> np.ndarray:
        shared = random.normal(size=len(sizes))[session]
        return np.asarray(math.sqrt(icc) * shared + math.sqrt(1 - icc) * random.normal(size=n))

    assert 0.92 <= coverage(design, world) <= 0.97


@pytest.mark.parametrize(("icc", "of_sources"), [(0.0, 0.5), (0.3, 0.5), (0.6, 0.5), (0.6, 0.9), (0.6, 0.1)])
@pytest.mark.parametrize(("sessions", "sources"), [(4, 10), (10, 10), (12, 30), (50, 10)])
def test_two_way_intervals_cover_other_sessions_and_sources(
    sessions: int, sources: int, icc: float, of_sources: float
) -> None:
    """Every source into every session; `icc` of the variance is of sessions and of sources together.

    97 % and, above, the binomial error of 1,000 worlds.
    """
    random = np.random.default_rng([7, sessions, sources])
    session, source = (labels.ravel() for labels in np.meshgrid(np.arange(sessions), np.arange(sources)))
    design = Design.of(np.zeros(len(session)), session, source, resamples=1000, seed=0)
    assert design.unit == "sessions and sources"

    def world() -> np.ndarray:
        between = math.sqrt(icc * (1 - of_sources)) * random.normal(size=sessions)[session]
        between += math.sqrt(icc * of_sources) * random.normal(size=sources)[source]
        return np.asarray(between + math.sqrt(1 - icc) * random.normal(size=len(session)))

    assert 0.92 <= coverage(design, world, worlds=1000) <= 0.975


def coverage(design: Design, world: Callable[[], np.ndarray], worlds: int = 1500) -> float:
    """Share of the worlds in which both the interval of a mean and that of a paired difference hold 0."""
    alone = paired = 0
    for _ in range(worlds):
        both, one, other = world(), world(), world()
        a, b = design.resample(Mean(both + one)), design.resample(Mean(both + other))
        low, high = design.spread(a).interval(float((both + one).mean()))
        found = design.difference(float((one - other).mean()), a, b)
        alone += low <= 0 <= high
        paired += found.low <= 0 <= found.high
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    assert abs(alone - paired) <= 0.03 * worlds
    return paired / worlds


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    random, design = np.random.default_rng(3), sessions_of([2] * 20)
    size = difference(sessions_of([1] * 4000), random.normal(size=4000), random.normal(size=4000)).detectable
    size *= math.sqrt(4000 / 40) * 1.04  # of 40 samples, with 19 degrees of freedom
    found = [difference(design, random.normal(size=40) + size, random.normal(size=40)).p < 0.05 for _ in range(800)]
    assert 0.74 <= np.mean(found) <= 0.86


def test_few_sources_are_these_and_many_are_a_sample() -> None:
    assert sessions_of([9] * 20, sources=9).unit == "sessions"
    assert sessions_of([10] * 20, sources=10).unit == "sessions and sources"
    assert sessions_of([10] * 3, sources=10).reason == "3 sessions of targets are too few for an interval"
    source = np.random.default_rng(0).normal(size=10)[np.arange(200) % 10]
    fixed, drawn = sessions_of([20] * 10), sessions_of([20] * 10, sources=10)
    assert spread(fixed, source).error == pytest.approx(0, abs=1e-12)
    assert spread(drawn, source).error > 0.1


def test_a_source_of_its_own_for_each_session_adds_nothing() -> None:
    """Clip i is given the face of person i: sessions, sources and cells are the same clusters."""
    session = np.repeat(np.arange(30), 4)
    rows = np.random.default_rng(1).normal(size=120)
    own = Design.of(np.zeros(120), session, session, resamples=4000, seed=0)
    assert own.unit == "sessions and sources"
    assert spread(own, rows).error == pytest.approx(spread(sessions_of([4] * 30, resamples=4000), rows).error, rel=0.05)


@pytest.mark.parametrize(
    ("sessions", "unit"),
    [
        ([1, 1, 1, 1, 1, 1], "people"),  # one image of each person
        ([1, 2, 2, 2], "people"),  # somebody has one session
        ([3, 3, 1], "people"),
        ([2, 2, 2], "sessions"),
        ([5], "sessions"),
        ([3, 1], "sessions"),  # two people are no sample of people
    ],
)
def test_people_are_drawn_where_one_of_them_has_one_session(sessions: list[int], unit: str) -> None:
    people = np.repeat([f"p{i}" for i in range(len(sessions))], sessions)
    design = Design.of(people, np.arange(len(people)), people, resamples=200, seed=0)
    assert design.unit == unit
    assert design.n_clusters == (len(sessions) if unit == "people" else sum(sessions))


def test_sessions_of_two_people_may_have_the_same_label() -> None:
    design = Design.of(*map(np.array, map(list, ("AAABBB", "xyzxyz", "BBBAAA"))), resamples=50, seed=0)
    assert design.n_clusters == 6
    for i in range(50):
        assert np.bincount(design.people[design.draws[0].index(i)]).tolist() == [3, 3]


def test_whole_sessions_are_drawn_within_people() -> None:
    draws = sessions_of([4] * 6, people=2, resamples=20).draws[0]
    for i in range(20):
        copies = np.bincount(draws.index(i), minlength=24).reshape(6, 4)
        assert (copies == copies[:, :1]).all()
        assert copies[::2, 0].sum() == copies[1::2, 0].sum() == 3


def test_the_same_samples_have_the_same_resamples() -> None:
    design, random = sessions_of([3] * 20, people=2), np.random.default_rng(0)
    masks = [random.random(60) < 0.8 for _ in range(2 * MOST_SUBSETS)]
    before = [design.among(mask).draws[0].counts for mask in masks]
    for mask, counts in zip(masks, before, strict=True):
        assert np.array_equal(design.among(mask).draws[0].counts, counts)
    assert design.among(np.ones(60, bool)) is design
    assert len(design.among(masks[0])) == masks[0].sum()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30), st.integers(0, 9))
def test_means_by_clusters_are_means_of_the_drawn_rows(labels: list[tuple[int, int]], seed: int) -> None:
    people, sessions = np.array(labels).T
    rows = np.random.default_rng(seed).normal(size=len(labels))
    design = Design.of(people, sessions, people, resamples=20, seed=seed)
    slow = design.resample(lambda index: 100 * float(rows[index].mean()))
    assert design.resample(Mean(rows, 100)) == pytest.approx(slow, rel=1e-9, abs=1e-9)
    assert design.resample(Mean(rows), 7).shape == (len(design.draws), 7)


@pytest.mark.parametrize("strata", [1, 3, 700, 2000])
def test_clusters_are_merged_where_they_are_many(strata: int) -> None:
    n = 6000
    draws = Draws.of(np.arange(n), np.arange(n) % strata, resamples=200, seed=(0,))
    rows = np.random.default_rng(0).normal(size=n)
    assert draws.counts.shape[1] <= MOST_CLUSTERS
    assert np.bincount(draws.cluster, minlength=len(draws.stratum)).min() >= 1
    assert draws.variance(draws.resample(Mean(rows))) == pytest.approx(1 / n, rel=0.35)


def test_an_interval_lies_about_the_value_whatever_resampling_does_to_the_statistic() -> None:
    """The largest of a sample only shrinks where rows are drawn again: its percentiles lie below it."""
    rows, design = np.random.default_rng(3).normal(size=30), sessions_of([1] * 30)
    resampled = design.resample(lambda index: float(rows[index].max()))
    low, high = design.spread(resampled).interval(rows.max())
    assert low < resampled.max() == rows.max() < high
    assert (low + high) / 2 == pytest.approx(rows.max())


def test_resamples_without_a_value_are_left_out_unless_they_are_most() -> None:
    rows, design = np.random.default_rng(3).normal(size=20), sessions_of([1] * 20)

    def without(row: int, copies: int) -> Callable[[np.ndarray], float]:
        def of(index: np.ndarray) -> float:
            if (index == row).sum() < copies:
                return float(rows[index].mean())
            if copies == 3:
                raise NotScorable("no value")
            return math.nan

        return of

    assert design.spread(design.resample(without(0, 3))).error == pytest.approx(
        design.spread(design.resample(Mean(rows))).error, rel=0.1
    )
    with pytest.raises(NotScorable, match="half of the resamples"):
        design.spread(design.resample(without(0, 1)))  # 64 % of the draws hold a row


def test_a_difference_that_is_paired_is_seen_where_intervals_overlap() -> None:
    random, design = np.random.default_rng(0), sessions_of([2] * 12)
    level = random.normal(size=12).repeat(2)
    a, b = level + 0.3, level + 0.05 * random.normal(size=24)
    assert interval(design, b)[0] < interval(design, a)[0] < interval(design, b)[1]
    found = difference(design, a, b)
    assert found.effect == pytest.approx(0.3, abs=0.05)
    assert 0 < found.low < found.effect < found.high
    assert found.p < 1e-6
    assert found.detectable is not None
    assert found.detectable < 0.1
    turned = difference(design, b, a)
    assert (turned.effect, turned.p) == (pytest.approx(-found.effect), pytest.approx(found.p))
    assert (turned.low, turned.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_what_never_varies_is_as_certain_as_a_sign_test_is() -> None:
    same = difference(sessions_of([2] * 3), np.full(6, 0.1), np.full(6, 0.1))
    assert (same.effect, same.low, same.high, same.p, same.detectable) == (0, 0, 0, 1, None)
    for n, p in ((3, 0.25), (12, 2**-11)):
        assert difference(sessions_of([2] * n), np.ones(2 * n), np.zeros(2 * n)).p == pytest.approx(p)
    rounding = difference(sessions_of([2] * 4), np.full(8, 0.1) * 3, np.full(8, 0.3))
    assert rounding.p == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


@pytest.mark.parametrize("degrees_of_freedom", [1, 2, 3, 4.7, 30, 1000])
@pytest.mark.parametrize("error", [1e-6, 0.3, 40])
def test_a_spread_is_known_from_its_interval_and_what_it_detects(error: float, degrees_of_freedom: float) -> None:
    known = Spread(error, degrees_of_freedom)
    again = Spread.of_interval(*known.interval(3.0), degrees_of_freedom)
    assert again.error == pytest.approx(error)
    assert again.detectable(0.001) == pytest.approx(known.detectable(0.001))


def test_the_detectable_effect_is_significant_in_four_cases_of_five() -> None:
    """Twelve paired samples with a true mean of that size, at the level of one comparison and of ten."""
    n, random = 12, np.random.default_rng(0)
    draws = random.normal(size=(20_000, n))
    for level in (0.05, 0.005):
        true = Spread(1 / math.sqrt(n), n - 1).detectable(level)
        samples = draws + true
        errors = samples.std(1, ddof=1) / math.sqrt(n)
        share = np.mean(np.abs(samples.mean(1)) > errors * Spread(1.0, n - 1).quantile(level))
        assert share == pytest.approx(0.8, abs=0.03)
