"""Golden values by hand: unit vectors in the plane, whose cosines are known."""

from __future__ import annotations

import pytest
import torch
from metric_identities import PEOPLE, at, planar_batch

from fsbench.errors import NotScorable
from fsbench.metrics.id_retrieval import IdRetrieval, IdRetrievalTop5


def test_retrieval_asks_for_the_nearest_person() -> None:
    outputs = torch.cat([at(20, 175, 89, 269), torch.full((1, 2), torch.nan, dtype=torch.float64)])
    rows = IdRetrieval().measure(planar_batch(outputs, PEOPLE))
    assert rows.tolist() == [1, 0, 1, 0, 0]  # at 89 degrees bob's own session is hidden, ann's 60 is next


def test_a_tie_is_not_a_hit_lost() -> None:
    assert IdRetrieval().measure(planar_batch(at(120.0), PEOPLE)).tolist() == [
        1
    ]  # 60 degrees from ann's 60 and from bob's 180


def test_top5_needs_more_than_five_people() -> None:
    with pytest.raises(NotScorable, match="3 people"):
        IdRetrievalTop5().measure(planar_batch(at(0.0), PEOPLE))
    crowd = PEOPLE + [("gallery", f"x{i}", "g", 200.0 + i) for i in range(9)]
    near_the_crowd = at(200.0, 10.0)
    assert IdRetrievalTop5().measure(planar_batch(near_the_crowd, crowd)).tolist() == [0, 1]
