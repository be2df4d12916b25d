"""On a CPU a network is shown batches of the size that its info names, and no other; what fills them up is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench.extraction import features
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import embed, observe
from fsbench.images import ImageSet
from fsbench.interfaces import Context, EmbedderInfo, ObserverInfo
from fsbench.registry import embedders, observers
from fsbench.store import Store

SHOWN: list[list[float]] = []


def light(crops: Tensor) -> Tensor:
    """Mean of red, green and blue of each crop, (N, 3)."""
    SHOWN.append([round(255 * float(level)) for level in crops[:, 0, 0, 0]])
    return crops.mean((2, 3)) + 0.1


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    SHOWN.clear()
    monkeypatch.setattr(features, "processor_features", lambda: {"avx512f"})

    @embedders.register("light_judge")
    class LightJudge:
        """Knows people by their colours."""

        def __init__(self, *, batch: int = 1) -> None:
            self.info = EmbedderInfo("light", 3, (), "mean colour", batch=batch)

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return light(crops)

    @observers.register("light_observer")
    class LightObserver:
        """Tells how light an image is, in each colour."""

        def __init__(self, *, batch: int = 1) -> None:
            self.info = ObserverInfo((), "mean colour", batch=batch)

        def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
            return {"light": light(crops)}


def images(n: int) -> ImageSet:
    """Pictures of one colour each: 0, 1, 2, ..."""
    levels = np.arange(n, dtype=np.uint8)[:, None, None, None]
    return ImageSet(np.broadcast_to(levels, (n, 8, 8, 3)).copy())


@pytest.mark.parametrize("n", [0, 1, 3, 4, 6, 70])
def test_observers_see_full_batches_and_answer_for_each_image_once(n: int, context: Context, tmp_path: Path) -> None:
    context = replace(context, store=Store(tmp_path))
    arrays = {}
    for batch in (1, 4):
        SHOWN.clear()
        observer = Extractor.build(observers, f"light_observer(batch={batch})", context)
        arrays[batch] = observe(observer, images(n), np.zeros((n, 5, 2), np.float32), "", context)
        assert {len(shown) for shown in SHOWN} <= {batch}
        assert sorted({level for shown in SHOWN for level in shown}) == list(range(n))
    assert all(torch.equal(arrays[1][name], arrays[4][name]) for name in arrays[1])
    assert all(len(array) == n for array in arrays[4].values())


@pytest.mark.parametrize("faceless", [(), (0,), (2, 5), (0, 1, 2, 3, 4, 5, 6)])
def test_judges_see_full_batches_of_faces(faceless: tuple[int, ...], context: Context, tmp_path: Path) -> None:
    context = replace(context, store=Store(tmp_path))
    landmarks = np.zeros((7, 5, 2), np.float32)
    landmarks[list(faceless)] = np.nan
    vectors = []
    for batch in (1, 4):
        SHOWN.clear()
        judge = Extractor.build(embedders, f"light_judge(batch={batch})", context)
        vectors.append(embed(judge, images(7), landmarks, "", context).vectors)
        assert {len(shown) for shown in SHOWN} <= {batch}
        assert {level for shown in SHOWN for level in shown} == set(range(7)) - set(faceless)
    assert torch.equal(vectors[0].nan_to_num(9), vectors[1].nan_to_num(9))
    assert vectors[1].isnan().any(1).nonzero()[:, 0].tolist() == list(faceless)


def test_another_size_is_another_result(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding differs: what was kept of batches of one size is not taken for that of another."""
    context = replace(context, store=Store(tmp_path))
    judge = Extractor.build(embedders, "light_judge", context)
    for batch in (1, 4, 1, 4):
        monkeypatch.setattr(judge.network, "info", replace(judge.network.info, batch=batch))
        embed(judge, images(4), np.zeros((4, 5, 2), np.float32), "", context)
    assert [len(shown) for shown in SHOWN] == [1, 1, 1, 1, 4]


@pytest.mark.parametrize("features_of_cpu", [{"avx512f"}, {"avx2"}])
def test_who_looks_at_each_image_by_itself_is_shown_a_whole_block(
    features_of_cpu: set[str], context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "processor_features", lambda: features_of_cpu)
    observer = Extractor.build(observers, "light_observer(batch=0)", context)
    observe(observer, images(70), np.zeros((70, 5, 2), np.float32), "", replace(context, store=Store(tmp_path)))
    assert [list(range(64)), list(range(64, 70))] == SHOWN


def test_images_are_shown_one_by_one_where_places_in_a_batch_differ(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "processor_features", lambda: {"avx2"})
    judge = Extractor.build(embedders, "light_judge(batch=4)", context)
    embed(judge, images(3), np.zeros((3, 5, 2), np.float32), "", replace(context, store=Store(tmp_path)))
    assert [len(shown) for shown in SHOWN] == [1, 1, 1]
