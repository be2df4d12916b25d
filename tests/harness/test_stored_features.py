"""Differences and features in the files of a run: what a later comparison with another run needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save
from torch import Tensor

from fsbench import contracts, results
from fsbench.config import Plan
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE
from fsbench.harness import evaluation as evaluations
from fsbench.harness import run_folder, sets
from fsbench.harness.run import run
from fsbench.harness.run_folder import RunFolder
from fsbench.images import ImageSet
from fsbench.interfaces import (
    Batch,
    Context,
    DatasetInfo,
    EmbedderInfo,
    Faces,
    MetricInfo,
    ObserverInfo,
    Source,
    Targets,
)
from fsbench.registry import datasets, embedders, metrics, observers, swappers
from fsbench.stats.summaries import mean

SIZE, SESSIONS, IMAGES = 16, 4, 3


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people, two swappers, a network that gives features, and a metric of them."""

    @datasets.register("stills")
    class Stills:
        """Made-up people."""

        info = DatasetInfo("stills", "1", SIZE, "made up", "CC0-1.0", ("test",))

        def faces(self, split: str) -> Faces:
            return contracts.toy_faces(2, sessions=SESSIONS, images=IMAGES, size=SIZE)

        def truth(self, source: str, targets: Faces) -> None:
            return None

    for name, factor in {"dark": 0.5, "darker": 0.49}.items():

        class Dims:
            """Makes images darker."""

            def __init__(self, factor: float = factor) -> None:
                self.factor = factor

            def swap(self, source: Source, targets: Targets) -> Tensor:
                return targets.images * self.factor

        swappers.register(name)(Dims)

    @embedders.register("halves")
    class Halves:
        """Knows images by the colours of their halves."""

        info = EmbedderInfo("halves", 6, (), "-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    @observers.register("pooled")
    class Pooled:
        """Colours of the quarters of an image."""

        info = ObserverInfo((), "-")

        def observe(self, crops: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
            return {"features": torch.nn.functional.adaptive_avg_pool2d(crops, 2).flatten(1)}

    @metrics.register("brightness")
    class Brightness:
        """Mean of features."""

        info = MetricInfo(unit="", direction="higher", bounds=(0.0, 1.0), needs=("pooled",), no_face="scored",
                          reference="-", measures=("colour",))  # fmt: skip
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return batch.observed("pooled", "features")[0].mean(1)

    def everywhere(crops: ImageSet, title: str, context: Context) -> np.ndarray:
        return np.repeat((TEMPLATE * SIZE)[None], len(crops), 0)

    for module in (evaluations, references, sets):
        monkeypatch.setattr(module, "find_landmarks", everywhere)


@pytest.fixture
def result(tmp_path: Path, context: Context) -> results.RunResult:
    plan = Plan(dataset="stills", models=("dark", "darker"), metrics=("brightness",), judges=("halves",), device="cpu",
                resamples=200)  # fmt: skip
    run(plan, tmp_path / "out", context)
    return results.load(tmp_path / "out")


def test_a_run_holds_the_paired_differences_of_its_contestants(result: results.RunResult) -> None:
    value = {value.model: value for value in result.values}
    (found,) = [one for one in result.differences if {one.model, one.other} == {"dark", "darker"}]
    first, second = value[found.model], value[found.other]
    assert found.effect == pytest.approx(first.value - second.value, abs=1e-12)
    assert max(first.low, second.low) < min(first.high, second.high)  # their intervals overlap
    assert (found.low > 0, found.n, found.set) == (found.model == "dark", 2 * SESSIONS * IMAGES, "stills")
    assert found.p < 1e-3
    others = [one for one in result.differences if one is not found]
    assert {(one.model, one.other) for one in others} == {
        (model, other) for model in ("dark", "darker") for other in ("copy_target", "copy_source", "alpha_paste")
    }


def test_features_of_observers_are_stored_beside_those_of_judges(tmp_path: Path, result: results.RunResult) -> None:
    arrays = load_file(tmp_path / "out" / "features" / "pooled.safetensors")
    assert set(arrays) == {"targets", *(model.name for model in result.models)}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert np.array_equal(arrays["copy_target"], arrays["targets"])
    assert arrays["dark"] == pytest.approx(arrays["targets"] / 2, abs=3e-3)
    means = {value.model: value.value for value in result.values}
    assert arrays["darker"].mean(1).mean() == pytest.approx(means["darker"], abs=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 1024])
def test_files_are_those_of_safetensors_whatever_the_block(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "ROWS", rows)
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=(n, 5)).astype(np.float32) for name, n in {"b": 7, 'a\u00e9"': 4, "c": 0}.items()
    }
    RunFolder(tmp_path).write_features("net", arrays)
    written = (tmp_path / "features" / "net.safetensors").read_bytes()
    assert written == save(arrays)
