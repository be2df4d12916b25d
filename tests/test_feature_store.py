"""Rows of images are kept once, by whatever number of processes, and found whatever else is asked for."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from fsbench.feature_store import MERGED, FeatureStore
from fsbench.hashes import of_rows
from fsbench.store import Store

KEY = "kind/key"


def opened(root: Path, told: list[str] | None = None) -> FeatureStore:
    sentences = [] if told is None else told
    return FeatureStore(root / "rows", lambda topic, sentence: sentences.append(f"{topic}: {sentence}"))


def hashes(*numbers: int) -> np.ndarray:
    return of_rows(np.array(numbers, np.int64))


def rows(*numbers: int) -> dict[str, np.ndarray]:
    """Rows that say which images they are of."""
    n = np.array(numbers, np.float32)
    return {
        "vector": n[:, None] + np.arange(5, dtype=np.float32) / 8,
        "top": n.astype(np.int64),
        "none": n[:, None][:, :0],
    }


def assert_rows(found: dict[str, np.ndarray], *numbers: int) -> None:
    assert found.keys() == rows(*numbers).keys()
    for name, array in rows(*numbers).items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def shards(root: Path) -> list[Path]:
    return sorted((root / "rows").rglob("*.safetensors"))


def test_rows_are_found_in_the_order_of_the_question(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert not store.get(KEY, hashes(1, 2))[0].any()
    store.put(KEY, hashes(3, 1, 2), rows(3, 1, 2))
    store.put(KEY, hashes(7, 8), rows(7, 8))
    for again in (store, opened(tmp_path)):
        known, found = again.get(KEY, hashes(8, 5, 1, 2, 1, 6, 3))
        assert known.tolist() == [True, False, True, True, True, False, True]
        assert_rows(found, 8, 1, 2, 1, 3)
    assert not store.get("kind/other", hashes(1, 2, 3))[0].any()
    assert store.get(KEY, hashes())[0].shape == (0,)


def test_rows_that_lie_side_by_side_are_mapped(tmp_path: Path) -> None:
    opened(tmp_path).put(KEY, hashes(*range(9)), rows(*range(9)))
    store = opened(tmp_path)
    _, found = store.get(KEY, hashes(*range(2, 7)))
    assert_rows(found, *range(2, 7))
    assert not found["vector"].flags.owndata
    assert store.get(KEY, hashes(3, 2))[1]["vector"].flags.owndata
    found["vector"][:] = 0  # gets into no file, and to nobody who asks
    for again in (store, opened(tmp_path)):
        known, found = again.get(KEY, hashes(*range(9)))
        assert_rows(found, *np.flatnonzero(known))


def test_what_is_written_into_mapped_rows_stays_there(tmp_path: Path) -> None:
    """Memory of the index is given back after each question; that of rows that were handed out is not."""
    opened(tmp_path).put(KEY, hashes(*range(9)), rows(*range(9)))
    store = opened(tmp_path)
    _, mine = store.get(KEY, hashes(2, 3))
    mine["vector"][0] = 7
    assert store.get(KEY, hashes(5, 6))[0].all()
    assert (mine["vector"][0] == 7).all()
    assert np.array_equal(mine["vector"][1], rows(3)["vector"][0])


HEADS: list[Callable[[dict[str, Any]], object]] = [
    lambda head: head.clear(),
    lambda head: head.pop("__metadata__"),
    lambda head: head.pop("index/hashes"),
    lambda head: head.pop("index/checks"),
    lambda head: head["__metadata__"].update(digest=5),
    lambda head: head.update(__metadata__=[]),
    lambda head: head["index/hashes"].update(shape=[]),
    lambda head: head["index/hashes"].update(dtype="I8"),
    lambda head: head["index/checks"].update(shape=[1, 64]),
    lambda head: head["rows/vector"].update(shape=["a", "b"]),
    lambda head: head["rows/vector"].update(shape=[-2, -5]),
    lambda head: head["rows/vector"].update(shape=None),
    lambda head: head["rows/vector"].update(dtype="F99"),
    lambda head: head["rows/vector"].update(data_offsets=[0, 10**18]),
    lambda head: head["rows/vector"].update(data_offsets=[float("inf"), 0]),
    lambda head: head.update({"rows/vector": 3}),
]


@pytest.mark.parametrize("change", HEADS)
def test_a_shard_with_another_head_is_computed_again(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    opened(tmp_path).put(KEY, hashes(4, 5), rows(4, 5))
    (path,) = shards(tmp_path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    head = json.loads(content[8:end])
    change(head)
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
    told: list[str] = []
    store = opened(tmp_path, told)
    assert not store.get(KEY, hashes(4, 5))[0].any()
    assert [sentence.split(":")[0] for sentence in told] == ["damaged"]
    store.put(KEY, hashes(4, 5), rows(4, 5))
    assert_rows(opened(tmp_path).get(KEY, hashes(4, 5))[1], 4, 5)


def test_a_shard_is_a_safetensors_file(tmp_path: Path) -> None:
    opened(tmp_path).put(KEY, hashes(4, 5), rows(4, 5))
    arrays = load_file(shards(tmp_path)[0])
    assert np.array_equal(arrays["rows/vector"], rows(4, 5)["vector"])
    assert arrays["index/hashes"].tobytes() == hashes(4, 5).tobytes()


def test_equal_rows_make_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        opened(tmp_path).put(KEY, hashes(4, 5), rows(4, 5))
    assert len(shards(tmp_path)) == 1


@pytest.mark.parametrize("size", [1, 3, 64])
def test_small_shards_are_merged(tmp_path: Path, size: int) -> None:
    n = 20 * MERGED
    for start in range(0, n, size):
        numbers = range(start, min(start + size, n))
        opened(tmp_path).put(KEY, hashes(*numbers), rows(*numbers))
    assert len(shards(tmp_path)) < 2 * MERGED
    assert_rows(opened(tmp_path).get(KEY, hashes(*range(n)))[1], *range(n))


def test_merged_rows_stay_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for start in range(0, 16 * MERGED, 16):
        store.put(KEY, hashes(*range(start, start + 16)), rows(*range(start, start + 16)))
    assert len(shards(tmp_path)) == 1
    _, found = store.get(KEY, hashes(*range(16 * MERGED)))
    assert not found["vector"].flags.owndata
    assert_rows(found, *range(16 * MERGED))


def test_rows_of_several_shards_are_merged_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(MERGED):
        store.put(KEY, hashes(0, n), rows(0, n))
    (path,) = shards(tmp_path)
    assert len(load_file(path)["rows/top"]) == MERGED


def test_shards_that_another_process_merges_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = opened(tmp_path), opened(tmp_path)
    for n in range(MERGED - 1):
        ours.put(KEY, hashes(n), rows(n))
    listed = FeatureStore._listed

    def overtaken(store: FeatureStore, key: str) -> list[Path]:
        paths = listed(store, key)
        if store is ours and len(paths) == MERGED - 1:
            theirs.put(KEY, hashes(99), rows(99))
        return paths

    monkeypatch.setattr(FeatureStore, "_listed", overtaken)
    assert_rows(ours.get(KEY, hashes(*range(MERGED - 1)))[1], *range(MERGED - 1))


def test_other_layouts_under_one_key_are_not_mixed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put(KEY, hashes(1), {"x": np.ones((1, 2), np.float32)})
    store.put(KEY, hashes(2), {"x": np.ones((1, 3), np.float32)})
    known, found = store.get(KEY, hashes(1, 2))
    assert known.sum() == 1
    assert len(found["x"]) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_or_closed_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    told: list[str] = []
    store = Store(tmp_path, told.append).features
    store.put(KEY, hashes(1), rows(1))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    for n in range(2, 5):
        store.put(KEY, hashes(n), rows(n))
    assert_rows(store.get(KEY, hashes(1, 2))[1], 1)
    assert len(told) == 1
    assert "work goes on without the cache" in told[0]
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_a_cache_in_an_impossible_place(place: str) -> None:
    told: list[str] = []
    store = Store(Path(place), told.append).features
    store.put(KEY, hashes(1), rows(1))
    assert not store.get(KEY, hashes(1))[0].any()
    assert len(told) == 1


def test_an_older_layout_is_left_alone_and_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    older = Store(tmp_path)
    older.save("features", "0" * 20, {"vectors": np.ones((2, 3))})
    store = Store(tmp_path, told.append)
    for _ in range(2):
        store.features.get(KEY, hashes(1))
    assert len(told) == 1
    assert "fsbench cache prune" in told[0]
    assert older.load("features", "0" * 20) is not None


WRITER = """
import hashlib, sys
import numpy as np
from pathlib import Path
from types import SimpleNamespace
from fsbench.extraction.blocks import by_item
from fsbench.extraction import blocks
from fsbench.hashes import of_rows
from fsbench.store import Store

blocks.BLOCK = int(sys.argv[2])
numbers = np.arange(10_000)
items = of_rows(numbers)
context = SimpleNamespace(store=Store(Path(sys.argv[1])), stage=lambda title: lambda *told: None)
looked = 0

def network(index):
    global looked
    looked += len(index)
    vectors = np.sin(numbers[index, None] * np.arange(1, 33)).astype(np.float32)
    return {"vectors": vectors, "top": numbers[index, None]}

print("ready", flush=True)
rows = by_item("", "toy", {"network": 1}, items, network, context)
print(looked, hashlib.sha256(rows["vectors"].tobytes() + rows["top"].tobytes()).hexdigest(), flush=True)
"""


def start(root: Path, block: int = 256) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(block)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Rows that a writer computed, and the digest of all rows."""
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    looked, digest = told.split()
    return int(looked), digest


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_processes_change_no_value(tmp_path: Path) -> None:
    """Twenty are killed at random moments of writing while another one writes into the same store."""
    chance, root = random.Random(0), tmp_path / "cache"
    writers = [start(root, block=1), start(root, block=1)]
    n_killed = 0
    while n_killed < 20:
        time.sleep(chance.uniform(0, 0.1))
        k = chance.randrange(2)
        n_killed += writers[k].poll() is None  # else it has finished
        kill(writers[k])
        writers[k] = start(root, block=1)
    for writer in writers:
        kill(writer)
    looked = [finish(writer) for writer in (start(root), start(root))]
    undisturbed = finish(start(tmp_path / "other"))
    assert undisturbed[0] == 10_000
    assert {digest for _, digest in looked} == {undisturbed[1]}
    assert 0 < looked[0][0] < 10_000, "some rows were kept, and some were left to do"
    assert finish(start(root)) == (0, undisturbed[1])
