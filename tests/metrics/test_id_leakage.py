"""Golden values by hand: unit vectors in the plane, whose cosines are known."""

from __future__ import annotations

import math

import pytest
from metric_identities import PEOPLE, at, planar_batch

from fsbench.metrics.id_leakage import IdLeakage
from fsbench.metrics.id_nearer_source import IdNearerSource
from fsbench.metrics.id_similarity import IdSimilarity


def test_leakage_leaves_the_targets_own_session_out() -> None:
    rows = IdLeakage().measure(planar_batch(at(90.0), PEOPLE))  # cosine to bob is that to t1 alone: cos 90 = 0
    assert rows.tolist() == pytest.approx([math.cos(math.radians(30)) / 2])


def test_a_target_person_with_one_held_out_session_is_not_scored() -> None:
    alone = [row for row in PEOPLE if row[2] != "t1"]
    assert IdLeakage().measure(planar_batch(at(0.0), alone)).isnan().tolist() == [True]
    assert IdNearerSource().measure(planar_batch(at(0.0), alone)).isnan().tolist() == [True]
    assert IdSimilarity().measure(planar_batch(at(0.0), alone)).tolist() == pytest.approx([0.75])


def test_blur_towards_the_mean_face_is_not_rewarded_by_leakage() -> None:
    people = [("test", "ann", "s0", 40.0), ("test", "bob", "t1", -40.0)]
    middle = planar_batch(at(0.0), people)
    assert float(IdLeakage().measure(middle)[0]) == pytest.approx(0, abs=1e-9)
    assert float(IdSimilarity().measure(middle)[0]) > float(IdSimilarity().measure(planar_batch(at(-40.0), people))[0])
