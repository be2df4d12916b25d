"""No metric makes a value of nothing: whatever is registered, on pairs that mean nothing whatever a model does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_features import value

from fsbench import contracts, registry
from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Context
from fsbench.metrics.fid import FidFace
from fsbench.metrics.id_nearer_source import IdNearerSource
from fsbench.metrics.id_retrieval import IdRetrieval

NAMES = registry.metrics.names()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lack", sorted(contracts.LACKING))
def test_nothing_gives_no_value(name: str, lack: str, context: Context) -> None:
    contracts.check_nothing(registry.metrics.build(name, context), lack)


class LostIsZero(IdNearerSource):
    """Counts an output without a face, whatever it could have been compared with."""

    def measure(self, batch: Batch) -> torch.Tensor:
        return super().measure(batch).masked_fill(batch.embeddings.output.isnan().any(1), 0.0)


@pytest.mark.parametrize("lack", ["images of the source", "images of the target", "images of anybody"])
def test_a_metric_that_makes_a_value_of_nothing_is_caught(lack: str) -> None:
    with pytest.raises(AssertionError, match=lack):
        contracts.check_nothing(LostIsZero(), lack)
    with pytest.raises(AssertionError, match="means nothing"):
        contracts.check_metric(LostIsZero())


def lost_target_reference(batch: Batch) -> Batch:
    """Leave the target person without images; the last output has no face."""
    return contracts.LACKING["images of the target"](batch)


def test_an_output_without_a_face_is_not_scored_where_the_target_has_no_images() -> None:
    rows = IdNearerSource().measure(lost_target_reference(contracts.toy_batch()))
    assert rows.isnan().all()


def test_an_output_without_a_face_counts_where_there_is_something_to_compare() -> None:
    rows = IdNearerSource().measure(contracts.toy_batch())
    assert not rows.isnan().any()
    assert rows[-1] == 0


def test_an_output_without_a_face_does_not_count_where_the_target_has_none_either() -> None:
    batch = contracts.toy_batch()
    target = batch.embeddings.target.clone()
    target[-1] = torch.nan
    rows = IdNearerSource().measure(contracts.with_evidence(batch, judge=replace(batch.embeddings, target=target)))
    assert rows.isnan().tolist() == [False] * 5 + [True]


def test_retrieval_among_the_source_alone_is_no_retrieval() -> None:
    """Two people, and the target's only session is hidden: nobody is left whom the source could be taken for."""
    batch = contracts.toy_batch(4)
    view = batch.embeddings
    rows = view.reference_rows
    keep = ((rows["identity"] == "toy0") | (rows["session"] == "s0")).to_numpy(copy=True)
    narrow = replace(
        view, references=view.references[torch.from_numpy(keep)], reference_rows=rows[keep], lookalikes=None
    )
    measured = IdRetrieval().measure(contracts.with_evidence(batch, judge=narrow))
    assert measured.isnan().tolist() == (batch.rows["session"] == "s0").tolist()


def test_people_without_a_face_are_not_there_to_be_found() -> None:
    batch = contracts.toy_batch()
    view = batch.embeddings
    references = view.references.clone()
    references[torch.from_numpy((view.reference_rows["identity"] == "toy1").to_numpy(copy=True))] = torch.nan
    with pytest.raises(NotScorable, match="1 people with a face"):
        IdRetrieval().measure(contracts.with_evidence(batch, judge=replace(view, references=references)))


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_distribution_of_one_target_is_none(n: int) -> None:
    random = np.random.default_rng(0)
    rows = np.concatenate([random.normal(size=(n, 8)), np.repeat(random.normal(size=(1, 8)), n, 0)], 1)
    with pytest.raises(NotScorable, match="same image"):
        value(FidFace(), rows)
