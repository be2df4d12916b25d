"""Places of built-in metrics in tables: a variant that inherits facts inherits a place, unless it says otherwise."""

from __future__ import annotations

from collections import Counter

import pytest

from fsbench import registry
from fsbench.interfaces import Context


@pytest.mark.parametrize("place", ["summary_rank", "verification_rank"])
def test_no_two_metrics_have_one_place(place: str, context: Context) -> None:
    names = [name for name in registry.metrics.names() if registry.metrics.get(name).origin.startswith("fsbench.")]
    ranks = Counter(getattr(registry.metrics.build(name, context).info, place) for name in names)
    assert [rank for rank, n in ranks.items() if rank and n > 1] == []
    assert len(ranks) > 4


def test_one_metric_ranks_models(context: Context) -> None:
    names = [name for name in registry.metrics.names() if registry.metrics.get(name).origin.startswith("fsbench.")]
    assert [name for name in names if registry.metrics.build(name, context).info.headline] == ["id_similarity"]
