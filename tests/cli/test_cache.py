"""`fsbench cache`: what is there, whether it is intact, and what is removed of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fsbench import cache
from fsbench.hashes import of_rows
from fsbench.store import Store

Invoke = Callable[..., tuple[int, str, str]]
DAY = 86400.0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with something of every kind."""
    root = tmp_path / "cache"
    monkeypatch.setenv("FSBENCH_CACHE", str(root))
    store = Store(root)
    for n in range(3):
        store.arrays("outputs", {"n": n}, lambda: {"outputs": np.zeros(1000)})
    store.arrays("synthetic", {}, lambda: {"images": np.ones(10)})
    hashes = of_rows(np.arange(4))
    store.features.put(f"embeddings/{'a' * 20}", hashes, {"vectors": np.ones((4, 8), np.float32)})
    store.features.put(f"metrics/{'b' * 20}", hashes, {"rows": np.ones(4)})
    for path in ("models/" + "c" * 20 + "/gan.safetensors", "weights/net.onnx", "weights/net.onnx.partial"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"weights")
    return root


def old(path: Path, days: float) -> Path:
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def older_layout(root: Path) -> Path:
    store = Store(root)
    store.save("features", "d" * 20, {"vectors": np.ones(3)})
    store.save("landmarks", "e" * 20, {"landmarks": np.ones(3)})
    return root / "features"


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def rot(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    return path


def one(root: Path, kind: str) -> Path:
    return sorted((root / kind).rglob("*.safetensors"))[0]


def test_info_tells_what_is_there(root: Path, invoke: Invoke) -> None:
    older_layout(root)
    code, told, _ = invoke("cache", "info", "--json")
    assert code == 0
    facts = json.loads(told)
    assert facts["folder"] == str(root)
    counts = {row["kind"]: (row["files"], row["older"]) for row in facts["kinds"]}
    assert counts == {
        "synthetic": (1, 0),
        "models": (1, 0),
        "outputs": (3, 0),
        "rows/embeddings": (1, 0),
        "rows/metrics": (1, 0),
        "features": (1, 1),
        "landmarks": (1, 1),
        "weights": (2, 0),
    }
    assert facts["size"] == sum((root / name).stat().st_size for name in files(root))
    told = invoke("cache", "info")[1]
    assert "features of judges, by image" in told
    assert "1 of an older layout" in told
    assert "just now" in told


def test_a_cache_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "nowhere"))
    assert invoke("cache", "info")[:2] == (0, f"{tmp_path}/nowhere: 0 B\nnothing is here yet\n")
    assert invoke("cache", "verify")[0] == 0
    assert "nothing to remove" in invoke("cache", "prune", "--older-than", "1d")[1]
    assert not files(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["outputs", "synthetic", "rows/embeddings", "rows/metrics"])
def test_verify_finds_what_is_damaged(kind: str, root: Path, invoke: Invoke) -> None:
    assert invoke("cache", "verify")[0] == 0
    path = rot(one(root, kind))
    code, told, _ = invoke("cache", "verify")
    assert code == 1
    assert f"damaged: {path}\n" in told
    assert "6 files" in told
    assert "1 damaged" in told
    code, told, _ = invoke("cache", "verify", "--json")
    assert (code, json.loads(told)["damaged"]) == (1, [str(path)])
    before = files(root)
    code, told, _ = invoke("cache", "prune")
    assert code == 0
    assert "removed, damaged: 1 file," in told
    assert set(before) - set(files(root)) == {path.relative_to(root).as_posix()}
    assert invoke("cache", "verify")[0] == 0


def test_verify_counts_for_no_use(root: Path, invoke: Invoke) -> None:
    path = old(one(root, "outputs"), 40)
    assert invoke("cache", "verify")[0] == 0
    assert "not used for that long: 1 file," in invoke("cache", "prune", "--older-than", "30d")[1]
    assert not path.exists()


def test_what_is_used_is_not_old(root: Path, invoke: Invoke) -> None:
    paths = [old(one(root, kind), 40) for kind in ("synthetic", "rows/embeddings")]
    store = Store(root)
    assert store.load("synthetic", paths[0].stem) is not None
    known, _ = store.features.get(f"embeddings/{'a' * 20}", of_rows(np.arange(1)))
    assert known.all()
    assert "nothing to remove" in invoke("cache", "prune", "--older-than", "30d")[1]


def test_prune_removes_the_older_layout_and_leftovers(root: Path, invoke: Invoke) -> None:
    before = files(root)
    older_layout(root)
    rows = root / "rows/metrics" / ("b" * 20)
    partials = [root / "outputs" / f"{'0' * 12}.77.partial", rows / f"{'1' * 12}.78.partial"]
    aside = root / "outputs" / f"{'f' * 20}.79.aside"
    (aside / "deep").mkdir(parents=True)
    for path in (*partials, aside):
        if path != aside:
            path.write_bytes(b"half")
        old(path, 1)
    young = root / "outputs" / f"{'2' * 12}.80.partial"
    young.write_bytes(b"being written")
    code, told, _ = invoke("cache", "prune")
    assert code == 0
    assert "removed, of an older layout: 2 files," in told
    assert "removed, left by killed processes: 3 files," in told
    assert files(root) == sorted([*before, young.relative_to(root).as_posix()])
    assert not (root / "features").exists()


def test_prune_by_size_takes_the_longest_unused(root: Path, invoke: Invoke) -> None:
    paths = sorted((root / "outputs").iterdir())
    for days, path in zip((5, 9, 7), paths, strict=True):
        old(path, days)
    sizes = sum(item.size for item in cache.scan(root) if item.kind not in cache.UNTOUCHED)
    code, told, _ = invoke("cache", "prune", "--max-size", f"{(sizes - 9000) / 1000:.3f}kB")
    assert code == 0
    assert "removed, the longest unused, above the size: 2 files," in told
    assert [path.exists() for path in paths] == [True, False, False]
    invoke("cache", "prune", "--max-size", "0")
    assert files(root) == ["weights/net.onnx", "weights/net.onnx.partial"]


def test_a_dry_run_removes_nothing(root: Path, invoke: Invoke) -> None:
    older_layout(root)
    before = files(root)
    told = invoke("cache", "prune", "--max-size", "0", "--dry-run")[1]
    assert "would be removed, of an older layout: 2 files" in told
    assert "can be freed" in told
    assert files(root) == before


def test_what_fsbench_did_not_write_is_left_alone(root: Path, invoke: Invoke) -> None:
    """Somebody pointed FSBENCH_CACHE at a folder of theirs."""
    others = [
        "thesis.tex",
        "photos/me.png",
        "models/mine/net.safetensors",
        "outputs/notes.txt",
        "rows/a/b/c.safetensors",
    ]
    for name in others:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        old_path = root / name
        old_path.write_bytes(b"mine")
        old(old_path, 400)
    (root / "away").symlink_to(root.parent)
    (root / "outputs" / f"{'9' * 20}.safetensors").symlink_to(root / "thesis.tex")
    invoke("cache", "prune", "--older-than", "1d", "--max-size", "0")
    assert set(others) <= set(files(root))
    assert (root / "away").is_symlink()


def test_what_cannot_be_removed_is_told(root: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    older_layout(root)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    code, told, error = invoke("cache", "prune")
    assert code == 1
    assert "cannot be removed" in error
    assert "removed, of an older layout" not in told


@pytest.mark.parametrize(
    "option", ["--older-than=soon", "--older-than=3y", "--max-size=big", "--max-size=5GiB", "--max-size=-1"]
)
def test_what_cannot_be_understood_is_one_sentence(option: str, root: Path, invoke: Invoke) -> None:
    before = files(root)
    code, _, error = invoke("cache", "prune", option)
    assert code == 2
    assert "cannot be understood" in error
    assert files(root) == before
