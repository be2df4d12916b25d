"""Toy metrics whose answer is known: one that measures a fault, one that is noise, one that saturates, ..."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fsbench.errors import NotScorable
from fsbench.stats import validity
from fsbench.stats.resampling import Design
from fsbench.stats.validity import Condition, Response, respond, verdict

STRENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
PEOPLE = np.repeat(np.arange(4), 10)
SESSIONS = np.arange(40)


def plan(resamples: int = 200, seed: int = 0) -> Design:
    return Design.of(PEOPLE, SESSIONS, PEOPLE, resamples=resamples, seed=seed)


def mean_of(rows: np.ndarray) -> Condition:
    """The mean of rows (N,); rows of NaN could not be scored."""
    kept = rows[~np.isnan(rows)]
    return Condition.scored(lambda index: float(kept[index].mean()), ~np.isnan(rows))


def response(
    curve: Callable[[float], float], noise: float = 0.0, own: float = 1.0, seed: int = 0, worse: int = 1
) -> Response:
    """Rows are a level of each image's own, the curve, and noise that is another at each strength."""
    random = np.random.default_rng(seed)
    level = own * random.normal(size=40)
    rows = [level + curve(s) + (noise * random.normal(size=40) if s else 0) for s in STRENGTHS]
    found = respond([mean_of(row) for row in rows], STRENGTHS, worse, plan(seed=seed))
    assert found is not None
    return found


def test_a_metric_that_measures_the_strength_responds_from_the_first_one_on() -> None:
    found = response(lambda s: s)
    assert (found.rho, found.rho_low, found.rho_high) == pytest.approx((1, 1, 1))
    assert (found.direction, found.detection_threshold) == (1, 1.0)
    assert (found.turning_point, found.saturation_threshold) == (None, None)
    assert found.change == pytest.approx(32)
    assert verdict(found, "respond", 32.0) == "responds"


def test_the_direction_is_the_metrics_own() -> None:
    found = response(lambda s: -s, worse=-1)
    assert (found.rho, found.direction, found.change) == (pytest.approx(1), 1, pytest.approx(32))


def test_detection_begins_above_the_noise() -> None:
    """The standard error of a difference is 1 / sqrt(40) = .16; Student's t (36) for .05 / 6 in all is 2.8: .44."""
    found = response(lambda s: 0.2 * s / 2, noise=1.0)
    assert found.detection_threshold in (4.0, 8.0)
    assert [step.significant for step in found.steps][-2:] == [True, True]


def test_the_size_is_the_change_in_spreads_of_the_mean() -> None:
    found = response(lambda s: s, own=2.0, seed=3)
    level = 2 * np.random.default_rng(3).normal(size=40)
    within = math.sqrt(np.mean([level[p == PEOPLE].var(ddof=1) for p in range(4)]) / 40)
    assert found.effect_size == pytest.approx(32 / within, rel=0.15)


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_noise_is_found_no_oftener_than_told(shared: float) -> None:
    """300 worlds at alpha 5 %: rows of three images a session, correlated or not; Bonferroni is on the safe side."""
    people, sessions = np.repeat(np.arange(4), 18), np.repeat(np.arange(24), 3)
    drawn, alarms = Design.of(people, sessions, people, resamples=100, seed=0), 0
    for world in range(300):
        random = np.random.default_rng(world)
        rows = [
            math.sqrt(shared) * random.normal(size=24)[sessions] + math.sqrt(1 - shared) * random.normal(size=72)
            for _ in STRENGTHS
        ]
        found = respond([mean_of(row) for row in rows], STRENGTHS, 1, drawn)
        assert found is not None
        alarms += found.direction != 0
    assert 0.01 <= alarms / 300 <= 0.075


def test_noise_is_blind_where_it_should_respond_and_ignores_elsewhere() -> None:
    found = response(lambda s: 0.0, noise=1.0, seed=5)
    assert (found.direction, found.detection_threshold, found.saturation_threshold) == (0, None, None)
    assert verdict(found, "respond", None) == "blind"
    assert verdict(found, "ignore", 10.0) == verdict(found, "either", 10.0) == "ignores"


def test_a_metric_that_saturates_says_from_where_on() -> None:
    found = response(lambda s: min(s, 4.0))
    assert (found.saturation_threshold, found.detection_threshold, found.turning_point) == (4.0, 1.0, None)
    assert verdict(found, "respond", 4.0) == "responds"
    assert response(lambda s: min(s, 30.0)).saturation_threshold is None


def test_a_metric_that_likes_damage_goes_the_wrong_way() -> None:
    found = response(lambda s: -s)
    assert (found.direction, found.rho, found.detection_threshold) == (-1, pytest.approx(-1), 1.0)
    assert {verdict(found, expected, 10.0) for expected in ("respond", "ignore", "either")} == {"wrong_way"}


def test_a_metric_that_turns_back() -> None:
    found = response(lambda s: s if s <= 8 else 16 - s / 2)
    assert (found.direction, found.turning_point, found.detection_threshold) == (1, 8.0, 1.0)
    assert verdict(found, "respond", 8.0) == "turns_back"
    back = response(lambda s: s if s <= 8 else 0.0)
    assert (back.direction, back.turning_point, back.detection_threshold) == (1, 8.0, 1.0)
    assert back.change == pytest.approx(8)
    assert verdict(back, "respond", 8.0) == "turns_back"


def test_what_moves_little_against_the_full_scale_is_ignored() -> None:
    found = response(lambda s: s / 32)
    assert found.direction == 1
    assert verdict(found, "ignore", 11.0) == "ignores"
    assert verdict(found, "ignore", 9.0) == "leaks"
    assert verdict(found, "respond", 11.0) == "responds"


def test_without_a_full_scale_the_spread_decides() -> None:
    small, large = response(lambda s: s / 32 * 0.05), response(lambda s: s / 32 * 0.5)
    assert small.effect_size is not None
    assert large.effect_size is not None
    assert small.effect_size < 1 < large.effect_size
    assert (verdict(small, "ignore", None), verdict(large, "ignore", None)) == ("ignores", "leaks")


def test_the_full_scale_is_the_largest_response_to_what_is_measured() -> None:
    small, large, wrong, none = (response(curve) for curve in (lambda s: s / 8, lambda s: s, lambda s: -s, lambda s: 0))
    assert validity.full_scale([(small, "respond"), (large, "ignore"), (wrong, "respond"), (none, "respond")]) == (
        pytest.approx(4)
    )
    assert validity.full_scale([(none, "respond"), (large, "either")]) is None


def test_nothing_changes_at_all() -> None:
    found = response(lambda s: 0.0)
    assert (found.rho, found.direction, found.change, found.saturation_threshold) == (0.0, 0, 0.0, None)


def test_rounding_is_no_response() -> None:
    found = response(lambda s: 1e-13 * s)
    assert (found.rho, found.direction) == (0.0, 0)


def test_changes_are_of_images_that_can_be_scored_in_both() -> None:
    """The hard half is lost at the end: the value of the rest is better, but each of them is worse."""
    level = np.repeat([0.0, 10.0], 20)[np.random.default_rng(0).permutation(40)]
    faulty = np.where(level > 5, np.nan, level + 1)
    found = respond([mean_of(level), mean_of(faulty)], (0.0, 1.0), 1, plan())
    assert found is not None
    assert (found.steps[1].value, found.steps[1].n_scored) == (1.0, 20)
    assert (found.change, found.direction) == (pytest.approx(1), 1)


def test_a_strength_at_which_most_is_lost_does_not_count() -> None:
    level = np.random.default_rng(0).normal(size=40)
    lost = np.where(np.arange(40) % 4 == 0, level - 50, np.nan)
    found = respond([mean_of(row) for row in (level, level + 1, level + 2, lost)], (0.0, 1.0, 2.0, 3.0), 1, plan())
    assert found is not None
    assert [step.enough_scored for step in found.steps] == [True, True, True, False]
    assert (found.rho, found.direction, found.change) == (pytest.approx(1), 1, pytest.approx(2))


def test_perfect_outputs_without_a_value_are_no_response() -> None:
    def no_value(index: np.ndarray) -> float:
        raise NotScorable("too few")

    seen = np.ones(40, bool)
    assert respond([Condition.scored(no_value, seen)] * 3, (0.0, 1.0, 2.0), 1, plan()) is None
    assert respond([mean_of(np.full(40, np.nan))] * 3, (0.0, 1.0, 2.0), 1, plan()) is None
    few = Condition.scored(lambda index: 1.0, seen, fewest=41)
    assert math.isnan(few(np.arange(40)))


def test_one_session_gives_values_and_nothing_more() -> None:
    alone = Design.of(*np.zeros((3, 40)), resamples=50, seed=0)
    found = respond([mean_of(np.full(40, s)) for s in (0.0, 1.0, 2.0)], (0.0, 1.0, 2.0), 1, alone)
    assert found is not None
    assert (found.rho, found.rho_low, found.direction, found.effect_size) == (pytest.approx(1), None, 0, None)
    assert [(step.value, step.low) for step in found.steps] == [(0.0, None), (1.0, None), (2.0, None)]


def test_halves_are_disjoint_whole_and_balanced() -> None:
    for one, other in validity.halves(plan()):
        assert sorted([*one, *other]) == list(range(40))
        assert np.bincount(PEOPLE[one]).tolist() == [5, 5, 5, 5]
    assert len({tuple(one) for one, _ in validity.halves(plan())}) == 10


def test_halves_hold_whole_sessions_and_the_odd_one_falls_by_chance() -> None:
    sessions = np.repeat(np.arange(10), 3)
    people = sessions // 5
    first = []
    for one, other in validity.halves(Design.of(people, sessions, people, resamples=9, seed=0), 40):
        assert not set(sessions[one]) & set(sessions[other])
        first.append(tuple(np.bincount(people[one]) // 3))
    assert set(first) == {(2, 2), (2, 3), (3, 2), (3, 3)}


def test_one_session_has_no_halves_and_no_parts() -> None:
    alone = Design.of(*np.zeros((3, 40)), resamples=9, seed=0)
    assert validity.halves(alone) == ()
    assert validity.parts(alone, 10) == []


def test_responses_are_found_by_a_two_way_design() -> None:
    """The fault is worse for some sources: what is said of other sources is less certain than of these."""
    session, source = (labels.ravel() for labels in np.meshgrid(np.arange(12), np.arange(10)))
    one, random = np.zeros(120), np.random.default_rng(0)
    effect = 1 + random.normal(size=10)[source]
    rows = [random.normal(size=120) + s * effect for s in (0.0, 1.0, 2.0)]
    errors = {}
    for name, sources in (("these", one), ("others", source)):
        found = respond([mean_of(row) for row in rows], (0.0, 1.0, 2.0), 1,
                        Design.of(one, session, sources, resamples=200, seed=0))  # fmt: skip
        assert found is not None
        assert found.direction == 1
        errors[name] = found.steps[2].change_high - found.steps[2].change_low
    assert errors["others"] > 2 * errors["these"]


def test_parts_have_the_size_that_was_asked_for() -> None:
    parts = validity.parts(plan(), 10)
    assert len(parts) == 20
    assert all(len(set(part)) == 10 for part in parts)


def test_reliability_is_spearman_browns() -> None:
    """Halves with the error variance e of a truth of variance 1 correlate 1 / (1 + e), two of them 2 / (2 + e)."""
    random, e = np.random.default_rng(0), 0.5
    halves = random.normal(size=(4000, 1, 1)) + math.sqrt(e) * random.normal(size=(4000, 5, 2))
    assert validity.reliability(halves) == pytest.approx(2 / (2 + e), abs=0.02)
    assert validity.reliability(np.ones((10, 3, 2))) is None
    assert validity.reliability(halves[:2]) is None


def test_spearman_of_ties() -> None:
    assert validity.spearman(np.arange(4), np.array([0.0, 1.0, 1.0, 2.0])) == pytest.approx(math.sqrt(0.9))
    assert validity.spearman(np.arange(3), np.zeros(3)) == 0.0
