"""Identity metrics of many outputs against many references, beside the bare products that they cannot do without.

    uv run pytest benchmarks/test_speed_identity.py -s

Outputs and references grow together. A mean cosine costs a product with one mean vector, so that its time grows with
the outputs; retrieval compares every output with every reference, and takes little more than that matrix product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from fsbench.harness.summarise import CHUNK
from fsbench.interfaces import Batch, Embeddings, Lookalikes, Source
from fsbench.interfaces.references import ReferenceIndex
from fsbench.metrics.id_leakage import IdLeakage
from fsbench.metrics.id_retrieval import IdRetrieval
from fsbench.metrics.id_similarity import IdSimilarity
from fsbench.metrics.id_topk import IdTopk

SIZES = (4_000, 16_000)
DIM, PEOPLE, SESSIONS = 128, 200, 4
MOST_GROWTH = 6  # of a metric that grows with the outputs: they are four times as many
MOST_OF_PRODUCT = 4  # of retrieval, in times of the matrix product and its maxima


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def evaluation(n: int) -> Batch:
    """`n` outputs and as many references of made-up people."""
    random = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2 * n, DIM, generator=random), dim=1)
    person = np.arange(n) % PEOPLE
    rows = pd.DataFrame(
        {
            "identity": [f"person {i}" for i in person],
            "session": [f"s{i}" for i in np.arange(n) // PEOPLE % SESSIONS],
            "split": "test",
        }
    )
    top = torch.randint(0, PEOPLE, (2 * n, 10), generator=random)
    names = tuple(f"person {i}" for i in range(PEOPLE))
    references = vectors[n:]
    view = Embeddings(
        "toy",
        vectors[:n],
        vectors[:n],
        references,
        rows,
        Lookalikes(names, top[:n], top[n:]),
        index=ReferenceIndex(references, rows),
    )
    nothing = torch.zeros(n, 1, 1, 1)
    return Batch(Source("person 0", nothing[:1]), rows, nothing, nothing, nothing, {"judge": view})


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(metric: object, batch: Batch) -> None:
    for start in range(0, len(batch.rows), CHUNK):
        metric.measure(batch.take(slice(start, start + CHUNK)))


def product(batch: Batch) -> None:
    """The cosines of all outputs to all references, and the largest of each."""
    view = batch.embeddings
    for start in range(0, len(batch.rows), CHUNK):
        (view.output[start : start + CHUNK] @ view.references.T).numpy().max(1)


@pytest.mark.parametrize("metric", [IdSimilarity(), IdLeakage(), IdTopk()], ids=lambda metric: type(metric).__name__)
def test_time_grows_with_the_outputs(metric: object) -> None:
    spent = [seconds(partial(measure, metric, evaluation(n))) for n in SIZES]
    print(f"\n{type(metric).__name__}: {', '.join(f'{n:,}: {s:.2f} s' for n, s in zip(SIZES, spent, strict=True))}")
    assert spent[1] / spent[0] < MOST_GROWTH


def test_retrieval_costs_little_more_than_the_matrix_product() -> None:
    batch = evaluation(SIZES[-1])
    bare, spent = seconds(lambda: product(batch)), seconds(lambda: measure(IdRetrieval(), batch))
    print(f"\nIdRetrieval, {SIZES[-1]:,} outputs and references: {spent:.1f} s, the products alone {bare:.1f} s")
    assert spent / bare < MOST_OF_PRODUCT
