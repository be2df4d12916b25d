"""A store that keeps nothing computes each time, and keeps where it is told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsbench.images import ImageSet
from fsbench.store import Store
from fsbench.unkept import UnkeptStore

HASHES = np.arange(64, dtype=np.uint8).reshape(2, 32)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_found_or_kept_but_for_a_while(tmp_path: Path) -> None:
    store, calls = UnkeptStore(tmp_path), []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(6).reshape(3, 2)}

    for _ in range(2):
        assert store.arrays("kind", {"a": 1}, compute)["x"].shape == (3, 2)
        assert store.entry("kind", {"a": 1}, compute).shape("x") == (3, 2)
        store.features.put("key", HASHES, {"row": np.ones((2, 1))})
        known, rows = store.features.get("key", HASHES)
        assert not known.any()
        assert not rows
    assert len(calls) == 4
    assert not files(tmp_path)
    with store.keeping(), store.keeping(False):
        store.arrays("kind", {"a": 1}, compute)
        store.features.put("key", HASHES, {"row": np.ones((2, 1))})
        assert store.arrays("kind", {"a": 1}, compute)["x"].shape == (3, 2)
        assert len(store.entry("kind", {"a": 1}, compute)) == 1
        assert store.features.get("key", HASHES)[0].all()
    assert len(calls) == 5
    assert Store(tmp_path).load("kind", next((tmp_path / "kind").iterdir()).stem) is not None
    assert not store.features.get("key", HASHES)[0].any()
    with pytest.raises(RuntimeError), store.keeping():
        raise RuntimeError
    store.arrays("kind", {"a": 1}, compute)
    assert len(calls) == 6


def test_images_lie_in_memory(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    entry = UnkeptStore(tmp_path).entry("outputs", {"model": None}, lambda: {"outputs": pixels})
    images = ImageSet.stored([entry], "outputs")
    assert np.array_equal(images.levels(), pixels)
    assert np.array_equal(images.levels([4, 0, 4]), pixels[[4, 0, 4]])
    assert images.content_hash() == ImageSet(pixels).content_hash()
    assert "absent" not in entry
    assert dict(entry).keys() == {"outputs"}
    entry["outputs"][:] = 0
    assert np.array_equal(images.levels(), pixels), "what is given out is a copy"
    assert not files(tmp_path)
