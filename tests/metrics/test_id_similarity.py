"""Golden values by hand: unit vectors in the plane, whose cosines are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from metric_identities import PEOPLE, at, planar_batch

from fsbench.metrics.id_similarity import IdSimilarity


def test_similarity_is_the_mean_cosine_to_the_sources_images() -> None:
    rows = IdSimilarity().measure(planar_batch(at(0, 90), PEOPLE))
    assert rows.tolist() == pytest.approx([(1 + 0.5) / 2, (0 + math.cos(math.radians(30))) / 2])
    assert IdSimilarity().summarise(rows.numpy()[:, None]) == pytest.approx(float(rows.mean()))


def test_references_without_a_face_are_left_out() -> None:
    people = planar_batch(at(0.0), PEOPLE)
    people.embeddings.references[1] = torch.nan
    assert IdSimilarity().measure(people).tolist() == pytest.approx([1.0])
    people.embeddings.references[0] = torch.nan
    assert IdSimilarity().measure(people).isnan().all()


def test_more_turn_towards_the_source_is_more_similar() -> None:
    turned = IdSimilarity().measure(planar_batch(at(*np.linspace(180, 30, 12)), PEOPLE))
    assert bool((turned.diff() > 0).all())
