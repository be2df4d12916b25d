"""Golden values by hand: unit vectors in the plane, whose cosines are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Embeddings, Source
from fsbench.metrics.id_leakage import IdLeakage
from fsbench.metrics.id_nearer_source import IdNearerSource
from fsbench.metrics.id_retrieval import IdRetrieval, IdRetrievalTop5
from fsbench.metrics.id_similarity import IdSimilarity


def at(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1)


def batch(outputs: torch.Tensor, references: list[tuple[str, str, str, float]]) -> Batch:
    """References are (split, identity, session, degrees); targets are `bob` in session t0."""
    rows = pd.DataFrame([{"split": a, "identity": b, "session": c} for a, b, c, _ in references])
    n, nothing = len(outputs), torch.zeros(len(outputs), 3, 2, 2)
    targets = pd.DataFrame({"identity": ["bob"] * n, "session": ["t0"] * n})
    view = Embeddings("toy", outputs, outputs.nan_to_num(), at(*(r[3] for r in references)), rows)
    return Batch(Source("ann", nothing), targets, nothing, nothing, nothing[:, :1], {"judge": view})


PEOPLE = [
    ("test", "ann", "s0", 0.0),
    ("test", "ann", "s1", 60.0),
    ("test", "bob", "t0", 90.0),
    ("test", "bob", "t1", 180.0),
    ("gallery", "cat", "g0", 270.0),
]


def test_similarity_is_the_mean_cosine_to_the_sources_images() -> None:
    rows = IdSimilarity().measure(batch(at(0, 90), PEOPLE))
    assert rows.tolist() == pytest.approx([(1 + 0.5) / 2, (0 + math.cos(math.radians(30))) / 2])
    assert IdSimilarity().summarise(rows.numpy()[:, None]) == pytest.approx(float(rows.mean()))


def test_leakage_leaves_the_targets_own_session_out() -> None:
    rows = IdLeakage().measure(batch(at(90.0), PEOPLE))  # cosine to bob is that to t1 alone: cos 90 = 0
    assert rows.tolist() == pytest.approx([math.cos(math.radians(30)) / 2])


def test_nearer_source_is_the_sign_of_leakage_and_counts_lost_faces_as_failures() -> None:
    outputs = torch.cat([at(10, 170), torch.full((1, 2), torch.nan, dtype=torch.float64)])
    rows = IdNearerSource().measure(batch(outputs, PEOPLE))
    assert rows.tolist() == [1, 0, 0]
    assert IdNearerSource().summarise(rows.numpy()[:, None]) == pytest.approx(100 / 3)
    assert IdSimilarity().measure(batch(outputs, PEOPLE)).isnan().tolist() == [False, False, True]


def test_retrieval_asks_for_the_nearest_person() -> None:
    outputs = torch.cat([at(20, 175, 89, 269), torch.full((1, 2), torch.nan, dtype=torch.float64)])
    rows = IdRetrieval().measure(batch(outputs, PEOPLE))
    assert rows.tolist() == [1, 0, 1, 0, 0]  # at 89 degrees bob's own session is hidden, ann's 60 is next


def test_a_tie_is_not_a_hit_lost() -> None:
    assert IdRetrieval().measure(batch(at(120.0), PEOPLE)).tolist() == [
        1
    ]  # 60 degrees from ann's 60 and from bob's 180


def test_top5_needs_more_than_five_people() -> None:
    with pytest.raises(NotScorable, match="3 people"):
        IdRetrievalTop5().measure(batch(at(0.0), PEOPLE))
    crowd = PEOPLE + [("gallery", f"x{i}", "g", 200.0 + i) for i in range(9)]
    near_the_crowd = at(200.0, 10.0)
    assert IdRetrievalTop5().measure(batch(near_the_crowd, crowd)).tolist() == [0, 1]


def test_references_without_a_face_are_left_out() -> None:
    people = batch(at(0.0), PEOPLE)
    people.embeddings.references[1] = torch.nan
    assert IdSimilarity().measure(people).tolist() == pytest.approx([1.0])
    people.embeddings.references[0] = torch.nan
    assert IdSimilarity().measure(people).isnan().all()


def test_a_target_person_with_one_held_out_session_is_not_scored() -> None:
    alone = [row for row in PEOPLE if row[2] != "t1"]
    assert IdLeakage().measure(batch(at(0.0), alone)).isnan().tolist() == [True]
    assert IdNearerSource().measure(batch(at(0.0), alone)).isnan().tolist() == [True]
    assert IdSimilarity().measure(batch(at(0.0), alone)).tolist() == pytest.approx([0.75])


def test_blur_towards_the_mean_face_is_not_rewarded_by_leakage() -> None:
    people = [("test", "ann", "s0", 40.0), ("test", "bob", "t1", -40.0)]
    middle = batch(at(0.0), people)
    assert float(IdLeakage().measure(middle)[0]) == pytest.approx(0, abs=1e-9)
    assert float(IdSimilarity().measure(middle)[0]) > float(IdSimilarity().measure(batch(at(-40.0), people))[0])


def test_more_turn_towards_the_source_is_more_similar() -> None:
    turned = IdSimilarity().measure(batch(at(*np.linspace(180, 30, 12)), PEOPLE))
    assert bool((turned.diff() > 0).all())
