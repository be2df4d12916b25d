"""Golden values by hand: unit vectors in the plane, whose cosines are known."""

from __future__ import annotations

import pytest
import torch
from metric_identities import PEOPLE, at, planar_batch

from fsbench.metrics.id_nearer_source import IdNearerSource
from fsbench.metrics.id_similarity import IdSimilarity


def test_nearer_source_is_the_sign_of_leakage_and_counts_lost_faces_as_failures() -> None:
    outputs = torch.cat([at(10, 170), torch.full((1, 2), torch.nan, dtype=torch.float64)])
    rows = IdNearerSource().measure(planar_batch(outputs, PEOPLE))
    assert rows.tolist() == [1, 0, 0]
    assert IdNearerSource().summarise(rows.numpy()[:, None]) == pytest.approx(100 / 3)
    assert IdSimilarity().measure(planar_batch(outputs, PEOPLE)).isnan().tolist() == [False, False, True]
