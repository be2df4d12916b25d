"""Distances of distributions between runs, made again of the features that stand in their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_scores import labels, records, write_run
from safetensors.numpy import load_file, save_file

from fsbench.comparison.scores import load
from fsbench.comparison.table import RunDifference, compare_runs
from fsbench.interfaces import PairedFeatures
from fsbench.metrics.kid import Kid
from fsbench.report import comparison
from fsbench.results import MetricRecord, Value

N = len(labels())
TARGETS = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
FILE = "features/inception.safetensors"


def outputs(shift: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=0.1, size=TARGETS.shape)
    return (TARGETS + noise + shift).astype(np.float32)


def write_features(folder: Path, shift: float, seed: int, name: str = "kid") -> Path:
    """A run with a kernel distance, and the features behind it; the first output is not there."""
    own = outputs(shift, seed)
    own[0] = np.nan
    features = PairedFeatures.of(own, TARGETS)
    known = features.take(np.flatnonzero(features.scored))
    value = Value(model="swapper", metric=name, value=Kid().statistic(known)(np.arange(N - 1)), n_scored=N - 1,
                  n_total=N, n_clusters=24)  # fmt: skip
    metric = MetricRecord(name=name, summary="-", unit="", direction="lower", digits=3, no_face="-", reference="-",
                          group="realism", observer="inception", summary_rank=9)  # fmt: skip
    run = load(write_run(folder, seed=seed)).result
    changes = {
        "metrics": [one.model_dump(mode="json") for one in (*records(), metric)],
        "values": [one.model_dump(mode="json") for one in (*run.values, value)],
    }
    write_run(folder, seed=seed, changes=changes)
    (folder / "features").mkdir()
    save_file({"targets": TARGETS, "swapper": own}, folder / FILE)
    return folder


def kid(*folders: Path, name: str = "kid", **options: Any) -> RunDifference:
    records = compare_runs([load(folder) for folder in folders], metrics=[name], **options).differences
    assert len(records) == 1
    return records[0]


def test_a_distance_is_compared_where_it_is_named(tmp_path: Path) -> None:
    a, b = write_features(tmp_path / "a", 0.0, 1), write_features(tmp_path / "b", 1.0, 2)
    record = kid(a, b)
    values = [load(folder).result.find("swapper", "kid")[0].value or 0 for folder in (a, b)]
    assert (record.verdict, record.n) == ("worse", N - 1)
    assert record.effect == pytest.approx(values[1] - values[0], rel=1e-5)
    by_default = {one.metric: one for one in compare_runs([load(a), load(b)]).differences}
    assert by_default["kid"].verdict == "refused"
    assert "--metric" in by_default["kid"].reason
    assert kid(a, a).verdict == "equivalent"


def test_a_page_shows_a_distance_without_its_samples(tmp_path: Path) -> None:
    scores = [load(write_features(tmp_path / name, shift, 1)) for name, shift in (("a", 0.0), ("b", 1.0))]
    for metrics, same in ((["kid"], False), (["kid", "pose_error"], True)):
        page = comparison.html(comparison.Compared(scores, compare_runs(scores, metrics=metrics)))
        assert "worse by kid" in page
        assert ("Equal on every sample: pose_error." in page) == same
        assert "<svg" not in page


def edit(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        arrays = load_file(folder / FILE)
        change(arrays)
        save_file(arrays, folder / FILE)

    return run


@pytest.mark.parametrize(("damage", "said"), [
    (lambda folder: (folder / FILE).unlink(), "cannot be read"),
    (lambda folder: (folder / FILE).write_bytes(b"x" * 100), "cannot be read"),
    (edit(lambda arrays: arrays.pop("swapper")), "does not fit"),
    (edit(lambda arrays: arrays.update(swapper=arrays["swapper"][1:])), "does not fit"),
    (edit(lambda arrays: arrays.update(swapper=arrays["swapper"] + 1)), "does not give the value"),
    (edit(lambda arrays: arrays.update(swapper=arrays["swapper"] * np.inf)), "not finite"),
])  # fmt: skip
def test_features_that_do_not_fit_are_not_compared(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    a, b = write_features(tmp_path / "a", 0.0, 1), write_features(tmp_path / "b", 1.0, 2)
    damage(b)
    record = kid(a, b)
    assert record.verdict == "refused"
    assert said in record.reason


def test_a_metric_that_is_not_installed_is_told(tmp_path: Path) -> None:
    a, b = (write_features(tmp_path / name, 0.0, i, name="elsewhere") for i, name in enumerate("ab"))
    assert "elsewhere cannot be made here" in kid(a, b, name="elsewhere").reason
