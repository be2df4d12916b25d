"""Speed of the synthetic renderer, on one thread.

uv run pytest benchmarks/test_speed_render.py --benchmark-enable
"""

from __future__ import annotations

from typing import Any

from comparisons.rendering import PEOPLE, product

from fsbench.guard import one_thread

N_SHOTS = 8


def test_render(benchmark: Any) -> None:
    benchmark.extra_info["images"] = N_SHOTS * len(PEOPLE)
    with one_thread():
        benchmark.pedantic(product(N_SHOTS), rounds=3)
