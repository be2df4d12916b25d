"""Arithmetic of metrics beside the products and roots that they cannot do without, or that others take."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from comparisons import Comparison, Work
from fsbench.harness.summarise import CHUNK
from fsbench.interfaces import Batch, Embeddings, Lookalikes, Source
from fsbench.interfaces.references import ReferenceIndex
from fsbench.metrics.id_retrieval import IdRetrieval
from fsbench.stats.frechet import frechet_distance

DIM, PEOPLE, SESSIONS = 128, 200, 4


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


def measure(metric: Any, batch: Batch) -> None:
    """Ask a metric of all outputs, as the harness does."""
    for start in range(0, len(batch.rows), CHUNK):
        metric.measure(batch.take(slice(start, start + CHUNK)))


def _retrieval(n: int, folder: Path) -> tuple[Work, Work]:
    """Ranks of all outputs among all references, and their cosines with the largest of each."""
    batch = evaluation(n)

    def product() -> None:
        view = batch.embeddings
        for start in range(0, n, CHUNK):
            (view.output[start : start + CHUNK] @ view.references.T).numpy().max(1)

    return partial(measure, IdRetrieval(), batch), product


def _frechet(dim: int, folder: Path) -> tuple[Work, Work]:
    """Features with a spectrum that falls over two orders of magnitude, as that of Inception's does and more."""
    spectrum = np.geomspace(1, 0.01, dim)
    samples = [np.random.default_rng(seed).normal(size=(3 * dim // 2, dim)) * spectrum for seed in (1, 2)]
    (mean_1, cov_1), (mean_2, cov_2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in samples)

    def ours() -> float:
        with threadpool_limits(1):
            return frechet_distance(mean_1, cov_1, mean_2, cov_2)

    def theirs() -> float:
        from scipy.linalg import sqrtm

        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says so where the product is singular
            root = sqrtm(cov_1 @ cov_2).trace().real
        return float(((mean_1 - mean_2) ** 2).sum() + cov_1.trace() + cov_2.trace() - 2 * root)

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-6)
    return ours, theirs


COMPARISONS = (
    Comparison("Fréchet distance, 512 dimensions", "SciPy's sqrtm", 4.0, partial(_frechet, 512), rounds=3),
    Comparison("id_retrieval, 4,000 among 4,000", "the matrix product", 0.25, partial(_retrieval, 4000), rounds=3),
)
