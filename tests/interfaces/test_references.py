"""References by person and session, held against a search through all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.interfaces import Batch, Embeddings, Source
from fsbench.interfaces.references import ReferenceIndex
from fsbench.metrics._identity import to_source, to_target
from fsbench.metrics.id_retrieval import IdRetrieval, IdRetrievalTop5

PEOPLE = ["ann", "bob", "Zoë", "cat", "dan", "eve", "fay"]


def world(seed: int, n: int = 40, r: int = 120, dim: int = 6) -> Batch:
    """Outputs and references of some people in some sessions, in no order; some without a face."""
    random = np.random.default_rng(seed)

    def vectors(count: int) -> Tensor:
        made = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(count, dim))), dim=1).float()
        made[torch.from_numpy(random.random(count) < 0.15)] = torch.nan
        return made

    rows = pd.DataFrame(
        {
            "identity": random.choice(PEOPLE, r),
            "session": random.choice(["s0", "s1", "", "s10"], r),
            "split": random.choice(["test", "gallery"], r, p=[0.7, 0.3]),
        }
    )
    targets = pd.DataFrame({"identity": random.choice(PEOPLE[:4], n), "session": random.choice(["s0", "s1", ""], n)})
    nothing = torch.zeros(n, 3, 2, 2)
    view = Embeddings("toy", vectors(n), vectors(n), vectors(r), rows)
    return Batch(Source("ann", nothing), targets, nothing, nothing, nothing[:, :1], {"judge": view})


def candidates(batch: Batch, i: int) -> np.ndarray:
    """References with a face that are not of the target's own session, (R,) bool."""
    rows, target = batch.embeddings.reference_rows, batch.rows.iloc[i]
    hidden = (rows["identity"] == target["identity"]) & (rows["session"] == target["session"])
    seen: np.ndarray = ~hidden.to_numpy() & ~batch.embeddings.references.isnan().any(1).numpy()
    return seen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", ["source", "target"])
def test_mean_cosines_are_those_of_all_images_one_by_one(seed: int, side: str) -> None:
    batch = world(seed)
    view, rows = batch.embeddings, batch.embeddings.reference_rows
    found = to_source(batch) if side == "source" else to_target(batch)
    for i in range(len(batch.rows)):
        person = batch.source.identity if side == "source" else batch.rows["identity"][i]
        own = candidates(batch, i) & (rows["identity"] == person).to_numpy() & (rows["split"] == "test").to_numpy()
        cosines = view.references[torch.from_numpy(own)].double() @ view.output[i].double()
        expected = float(cosines.mean()) if own.any() else np.nan
        assert float(found[i]) == pytest.approx(expected, abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("metric", [IdRetrieval(), IdRetrievalTop5()])
def test_retrieval_is_that_of_a_search_through_all_images(seed: int, metric: IdRetrieval) -> None:
    batch = world(seed)
    view, rows = batch.embeddings, batch.embeddings.reference_rows
    found = metric.measure(batch).tolist()
    for i in range(len(batch.rows)):
        seen = candidates(batch, i)
        nearest = {
            person: float((view.references[torch.from_numpy(seen & (rows["identity"] == person).to_numpy())]
                           @ view.output[i].nan_to_num()).max())
            for person in set(rows["identity"][seen])
        }  # fmt: skip
        lost, targetless = (bool(side[i].isnan().any()) for side in (view.output, view.target))
        expected = np.nan
        if "ann" in nearest and len(nearest) > metric.k and not (lost and targetless):
            rank = sum(cosine > nearest["ann"] for cosine in nearest.values())
            expected = float(rank < metric.k and not lost)
        assert found[i] == pytest.approx(expected, nan_ok=True)


def test_batches_of_any_size_have_the_same_rows() -> None:
    batch = world(7)
    index = ReferenceIndex(batch.embeddings.references, batch.embeddings.reference_rows)
    shared = contracts.with_evidence(batch, judge=replace(batch.embeddings, index=index))
    for measure in (to_source, to_target, IdRetrieval().measure):
        parts = torch.cat([measure(shared.take(slice(i, i + 7))) for i in range(0, 40, 7)])
        assert torch.allclose(parts, measure(batch), atol=1e-7, equal_nan=True)


def test_the_index_of_other_references_is_not_used() -> None:
    batch = world(8)
    view = replace(batch.embeddings, index=ReferenceIndex(batch.embeddings.references, batch.embeddings.reference_rows))
    assert view.by_person is view.index
    assert view[3:5].by_person is view.index
    blind = replace(view, references=torch.full_like(view.references, torch.nan))
    assert to_source(contracts.with_evidence(batch, judge=blind)).isnan().all()
