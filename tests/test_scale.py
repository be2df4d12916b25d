"""docs/scale.md: its numbers are those of the simulation and of what was measured, and its code is right."""

from __future__ import annotations

import re
from pathlib import Path

import growth
import numpy as np
import pytest
import simulate_scale
from safetensors.numpy import save_file

from fsbench.extraction.blocks import BLOCK
from fsbench.feature_store import FeatureStore
from fsbench.stats.frechet import frechet_distance

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", simulate_scale.TABLES)
def test_tables_are_those_of_the_simulation(name: str) -> None:
    assert "\n".join(simulate_scale.lines(name)) in PAGE


@pytest.mark.parametrize("axis", growth.SIZES)
def test_growth_is_what_was_measured(axis: str) -> None:
    known = dict(growth.read(ROOT / "benchmarks/growth.jsonl"))
    rows = growth.rows_of(axis, known, growth.Case("run"))
    assert len(rows) > 2
    assert growth.table(axis, rows) in PAGE


@pytest.mark.parametrize("n", [1, 15 * BLOCK, 16 * BLOCK + 3, 40 * BLOCK])
def test_the_simulation_merges_as_the_store_does(n: int, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, lambda topic, sentence: None)
    hashes = np.random.default_rng(0).integers(0, 256, (n, 32), np.uint8)
    for start in range(0, n, BLOCK):
        block = hashes[start : start + BLOCK]
        store.put("key", block, {"x": np.zeros((len(block), 1), np.float32)})
    _, shards = simulate_scale.merged(n)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(shards)


def test_jobs_are_put_together_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    random = np.random.default_rng(0)
    whole = {name: random.normal(size=(2500, 4)).astype(np.float32) for name in ("mytool", "targets")}
    for job, rows in enumerate((slice(0, 1200), slice(1200, 1203), slice(1203, 2500))):
        (tmp_path / f"jobs/{job}/features").mkdir(parents=True)
        arrays = {name: np.ascontiguousarray(array[rows]) for name, array in whole.items()}
        save_file(arrays, tmp_path / f"jobs/{job}/features/inception.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, float] = {}
    exec(compile(code, "docs/scale.md", "exec"), names)
    sides = [(x.mean(0, np.float64), np.cov(x.astype(np.float64), rowvar=False)) for x in whole.values()]
    assert names["fid"] == pytest.approx(frechet_distance(*sides[0], *sides[1]), rel=1e-9)
