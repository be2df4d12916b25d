"""Golden values by hand and by scipy: lists of people, without a network that made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Embeddings, Lookalikes, Source
from fsbench.metrics.id_topk import IdTopk
from fsbench.metrics.id_topk_jsd import IdTopkJsd
from fsbench.metrics.id_topk_rbo import IdTopkRbo, rbo_weights

Lists = Sequence[Sequence[int]]
LOST = [-1] * 5


def batch(
    outputs: Lists, references: Sequence[tuple[str, Sequence[int]]], people: int = 30, source: str = "ann"
) -> Batch:
    """Outputs of a source in images of bob; references are (identity, list), `cat` is a stranger of the gallery."""
    rows = pd.DataFrame(
        [
            {"split": "gallery" if name == "cat" else "test", "identity": name, "session": f"s{i}"}
            for i, (name, _) in enumerate(references)
        ]
    )
    output, known = torch.tensor(outputs), torch.tensor([list(found) for _, found in references])
    targets = pd.DataFrame({"identity": ["bob"] * len(output), "session": ["t0"] * len(output)})
    view = Embeddings(
        "toy",
        vectors(output),
        vectors(output),
        vectors(known),
        rows,
        Lookalikes(tuple(f"person {i}" for i in range(people)), output, known),
    )
    nothing = torch.zeros(len(output), 3, 2, 2)
    return Batch(Source(source, nothing), targets, nothing, nothing, nothing[:, :1], {"judge": view})


def vectors(lists: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(lists), 2).masked_fill((lists[:, :1] < 0), torch.nan)


def summary(metric: IdTopk | IdTopkJsd, *batches: Batch) -> float:
    rows = torch.cat([metric.measure(one) for one in batches]).numpy()
    rows = rows.reshape(len(rows), -1)
    return metric.summarise(rows[~np.isnan(rows).any(1)])


REFERENCES = [
    ("ann", [0, 1, 2, 3, 4]),
    ("ann", [9, 8, 2, 1, 0]),
    ("ann", LOST),
    ("bob", [20, 21, 22, 23, 24]),
    ("cat", [5, 6, 7, 8, 9]),
]


def test_overlap_is_the_share_of_common_people_whatever_their_order() -> None:
    here = batch([[4, 3, 2, 1, 0], [0, 10, 11, 12, 13], [20, 21, 22, 23, 24], LOST], REFERENCES)
    rows = IdTopk().measure(here)
    assert rows.tolist()[:3] == pytest.approx([(5 + 3) / 5 / 2, (1 + 1) / 5 / 2, 0])
    assert rows.isnan().tolist() == [False, False, False, True]
    assert summary(IdTopk(), here) == pytest.approx((0.8 + 0.2 + 0) / 3)


def test_only_the_first_five_count() -> None:
    longer = [("ann", [0, 1, 2, 3, 4, 5, 6])]
    assert IdTopk().measure(batch([[5, 6, 0, 10, 11, 1, 2]], longer)).tolist() == pytest.approx([1 / 5])


def rbo(one: Sequence[int], other: Sequence[int], p: float) -> float:
    """As published: agreement at each depth, one after the other."""
    common = [len(set(one[:d]) & set(other[:d])) for d in range(1, len(one) + 1)]
    tail = common[-1] / len(one) * p ** len(one)
    return tail + (1 - p) / p * sum(x / d * p**d for d, x in enumerate(common, 1))


def test_rank_biased_overlap_by_hand() -> None:
    rows = IdTopkRbo().measure(batch([[0, 2, 1]], [("ann", [0, 1, 2])]))  # agreement 1, 1/2, 1
    assert rows.tolist() == pytest.approx([0.729 + (0.9 + 0.405 + 0.729) / 9])


@settings(max_examples=50)
@given(
    lists=st.lists(st.permutations(range(12)), min_size=2, max_size=5),
    depth=st.integers(1, 12),
    p=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_rank_biased_overlap_is_linear_in_matches(lists: Lists, depth: int, p: float) -> None:
    first, weights = lists[0][:depth], rbo_weights(depth, p)
    for other in (found[:depth] for found in lists):
        by_weights = sum(float(weights[i, other.index(who)]) for i, who in enumerate(first) if who in other)
        assert by_weights == pytest.approx(rbo(first, other, p))


def test_rank_biased_overlap_is_the_mean_over_the_sources_images() -> None:
    random = np.random.default_rng(0)
    outputs = [random.permutation(30)[:20].tolist() for _ in range(4)]
    mine = [random.permutation(30)[:20].tolist() for _ in range(3)]
    rows = IdTopkRbo().measure(batch(outputs, [*(("ann", one) for one in mine), ("bob", outputs[0])]))
    assert rows.tolist() == pytest.approx([np.mean([rbo(out, one, 0.9) for one in mine]) for out in outputs])


def test_the_same_list_agrees_and_a_list_of_others_does_not() -> None:
    here = batch([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], [("ann", [0, 1, 2, 3, 4])])
    for metric in (IdTopk(), IdTopkRbo()):
        assert metric.measure(here).tolist() == pytest.approx([1, 0])


def test_an_early_match_is_worth_more() -> None:
    here = batch([[0, 9, 8, 7, 6], [9, 0, 8, 7, 6], [9, 8, 7, 6, 0]], [("ann", [0, 1, 2, 3, 4])])
    assert bool((IdTopkRbo().measure(here).diff() < 0).all())
    assert IdTopk().measure(here).tolist() == pytest.approx([0.2, 0.2, 0.2])


def jsd(reals: Sequence[int], outputs: Sequence[int], people: int = 30) -> float:
    p, q = (np.bincount(found, minlength=people) / len(found) for found in (reals, outputs))
    return float(jensenshannon(p, q, base=2) ** 2)


def first(*people: int) -> Lists:
    return [[who, 25, 26, 27, 28] for who in people]


@settings(max_examples=50)
@given(
    reals=st.lists(st.integers(0, 6), min_size=1, max_size=20),
    outputs=st.lists(st.integers(0, 8), min_size=1, max_size=20),
)
def test_divergence_is_scipys(reals: list[int], outputs: list[int]) -> None:
    here = batch(first(*outputs), [("ann", found) for found in first(*reals)])
    assert summary(IdTopkJsd(), here) == pytest.approx(jsd(reals, outputs), abs=1e-9)


def test_divergence_is_the_mean_over_sources_and_lost_faces_do_not_count() -> None:
    references = [*(("ann", one) for one in first(0, 0, 1)), ("ann", LOST), *(("bob", one) for one in first(0, 3))]
    ann = batch([*first(0, 2), LOST], references)
    bob = batch(first(0, 0, 4, 4), references, source="bob")
    expected = (jsd([0, 0, 1], [0, 2]) + jsd([0, 3], [0, 0, 4, 4])) / 2
    assert summary(IdTopkJsd(), ann, bob) == pytest.approx(expected)
    assert summary(IdTopkJsd(), bob, ann) == pytest.approx(expected)
    assert IdTopkJsd().measure(ann).isnan().any(1).tolist() == [False, False, True]


def test_divergence_ends() -> None:
    assert summary(IdTopkJsd(), batch(first(1, 0, 1, 0), [("ann", one) for one in first(0, 1)])) == pytest.approx(0)
    assert summary(IdTopkJsd(), batch(first(1, 2), [("ann", one) for one in first(3, 4)])) == pytest.approx(1)
    sure_against_a_coin = summary(IdTopkJsd(), batch(first(0, 1), [("ann", one) for one in first(0)]))
    assert sure_against_a_coin == pytest.approx(1.5 - 0.75 * math.log2(3))


METRICS = [IdTopk(), IdTopkRbo(), IdTopkJsd()]


@pytest.mark.parametrize("metric", METRICS)
def test_a_source_without_a_face_is_not_scored(metric: IdTopk) -> None:
    here = batch(first(0, 1), [("ann", LOST), ("bob", [0, 1, 2, 3, 4])])
    assert metric.measure(here).reshape(2, -1).isnan().any(1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_a_judge_that_can_name_nobody_is_told(metric: IdTopk) -> None:
    here = batch(first(0), REFERENCES)
    here = contracts.with_evidence(here, judge=replace(here.embeddings, lookalikes=None))
    with pytest.raises(NotScorable, match="toy has no classifier and the data set no gallery"):
        metric.measure(here)


@pytest.mark.parametrize("metric", METRICS[:2])
def test_lists_that_name_everybody_say_nothing(metric: IdTopk) -> None:
    five = batch([[0, 1, 2, 3, 4]], [("ann", [0, 1, 2, 3, 4])], people=5)
    with pytest.raises(NotScorable, match="can name 5 people"):
        metric.measure(five)
