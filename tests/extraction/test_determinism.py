"""What is found and what judges tell depends neither on threads nor on what else is looked at, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fsbench.choices import Precision
from fsbench.extraction import blocks
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import embed, find_landmarks
from fsbench.faces.align import align
from fsbench.faces.detect import GRID, Detector
from fsbench.images import ImageSet, read_image
from fsbench.interfaces import Context
from fsbench.registry import embedders
from fsbench.store import Store


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def crops(shared: Path) -> ImageSet:
    files = sorted((shared / "data/lfw").rglob("*.jpg"))[:12]
    detector = Detector(torch.device("cpu"))
    photos = [read_image(file) for file in files]
    return ImageSet(np.stack([align(photo, detector.detect_photo(photo).landmarks[0], 128)[0] for photo in photos]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("judge", ["dlib_resnet"])
def test_threads_blocks_and_order_change_nothing(
    judge: str,
    precision: Precision,
    crops: ImageSet,
    fresh_context: Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = Extractor.build(embedders, judge, replace(fresh_context, precision=precision))
    told = []
    for threads, block, turned in ((1, 64, False), (2, 64, False), (2, 5, False), (1, 64, True)):
        torch.set_num_threads(threads)
        monkeypatch.setattr(blocks, "BLOCK", block)
        context = replace(fresh_context, store=Store(tmp_path / str(len(told))))  # nothing is cached
        shown = crops.select(np.arange(len(crops))[:: -1 if turned else 1])
        landmarks = find_landmarks(shown, "", context)
        vectors = embed(built, shown, landmarks, "", context).vectors.numpy()
        told.append((landmarks[::-1], vectors[::-1]) if turned else (landmarks, vectors))
    assert np.isfinite(told[0][0]).all()
    assert np.array_equal(told[0][0] * GRID, np.round(told[0][0] * GRID))
    for landmarks, vectors in told[1:]:
        assert np.array_equal(landmarks, told[0][0])
        assert np.array_equal(vectors, told[0][1])
