"""All comparisons of check_ratios.py, as tests.

uv run pytest benchmarks/test_ratios.py -s
"""

from __future__ import annotations

from pathlib import Path

import pytest
from check_ratios import COMPARISONS, line
from comparisons import Comparison, Missing


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: f"{comparison.name} and {comparison.other}")
def test_ratio(comparison: Comparison, tmp_path: Path) -> None:
    try:
        measured = comparison.measure(tmp_path)
    except Missing as why:
        pytest.skip(str(why))
    print(f"\n{line(comparison, measured)}")
    assert measured.ratio >= comparison.least
