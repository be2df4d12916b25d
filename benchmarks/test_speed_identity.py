"""How the time of identity metrics grows with the outputs.

    uv run pytest benchmarks/test_speed_identity.py -s

Outputs and references grow together. A mean cosine costs a product with one mean vector, so that its time grows with
the outputs; retrieval compares every output with every reference (`comparisons.arithmetic`).
"""

from __future__ import annotations

from functools import partial

import pytest
from comparisons import seconds
from comparisons.arithmetic import evaluation, measure
from threadpoolctl import threadpool_limits

from fsbench.metrics.id_leakage import IdLeakage
from fsbench.metrics.id_similarity import IdSimilarity
from fsbench.metrics.id_topk import IdTopk

SIZES = (4_000, 16_000)
MOST_GROWTH = 6  # of a metric that grows with the outputs: they are four times as many


@pytest.mark.parametrize("metric", [IdSimilarity(), IdLeakage(), IdTopk()], ids=lambda metric: type(metric).__name__)
def test_time_grows_with_the_outputs(metric: object) -> None:
    with threadpool_limits(1):
        spent = [seconds(partial(measure, metric, evaluation(n))) for n in SIZES]
    print(f"\n{type(metric).__name__}: {', '.join(f'{n:,}: {s:.2f} s' for n, s in zip(SIZES, spent, strict=True))}")
    assert spent[1] / spent[0] < MOST_GROWTH
