"""A store at a URL: what one machine computed is fetched by the next, and nothing is lost while the store is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from object_store import ObjectStore

from fsbench import environment, mirror
from fsbench.cache import scan
from fsbench.errors import RemoteError, UsageError
from fsbench.feature_store import MERGED
from fsbench.hashes import of_rows
from fsbench.interfaces import Context
from fsbench.remote import Objects
from fsbench.store import Arrays, Store

ARRAYS = {"x": np.arange(12, dtype=np.float32).reshape(3, 4)}


class Machine:
    """A folder of its own for a store that others share, and how often something was computed in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.told: list[str] = []
        self.store = Store(folder, self.told.append, Objects(url, patience=0.3))
        self.n_computed = 0

    def compute(self) -> Arrays:
        self.n_computed += 1
        return ARRAYS


@pytest.fixture
def machine(url: str, tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(tmp_path / name, url)


def hashes(*numbers: int) -> np.ndarray:
    return of_rows(np.array(numbers, np.int64))


def vectors(*numbers: int) -> dict[str, np.ndarray]:
    return {"vector": np.array(numbers, np.float32)[:, None] + np.arange(3, dtype=np.float32)}


def test_what_one_machine_computed_another_fetches(machine: Callable[[str], Machine]) -> None:
    first, second = machine("first"), machine("second")
    for kind, read in (("a", Store.arrays), ("b", Store.entry)):
        for at in (first, second):
            assert np.array_equal(read(at.store, kind, {"n": 1}, at.compute)["x"], ARRAYS["x"])
    assert (first.n_computed, second.n_computed) == (2, 0)
    assert first.told == second.told == []


@pytest.mark.parametrize("damage", [b"", b"nothing like it", None], ids=["empty", "other", "cut"])
def test_what_is_damaged_there_is_computed_again_and_replaced(
    machine: Callable[[str], Machine], tmp_path: Path, damage: bytes | None
) -> None:
    first, second, third = (machine(name) for name in ("first", "second", "third"))
    first.store.arrays("kind", {"n": 1}, first.compute)
    objects = first.store.mirror.objects
    assert objects is not None
    (name,) = objects.listed()
    (tmp_path / "bad").write_bytes((objects.read(name) or b"")[:-5] if damage is None else damage)
    objects.put(tmp_path / "bad", name)
    second.store.arrays("kind", {"n": 1}, second.compute)
    assert second.n_computed == 1
    assert "damaged" in second.told[0]
    assert np.array_equal(third.store.arrays("kind", {"n": 1}, third.compute)["x"], ARRAYS["x"])
    assert third.n_computed == 0


def test_rows_are_shared_merged_or_not(machine: Callable[[str], Machine]) -> None:
    first, second = machine("first"), machine("second")
    for k in range(MERGED + 3):
        first.store.features.put("judge/key", hashes(2 * k, 2 * k + 1), vectors(2 * k, 2 * k + 1))
    n, wanted = 2 * MERGED + 6, range(2 * MERGED + 6)
    known, rows = second.store.features.get("judge/key", hashes(*wanted, n))
    assert known.tolist() == [True] * n + [False]
    assert np.array_equal(rows["vector"], vectors(*wanted)["vector"])
    objects = first.store.mirror.objects
    assert objects is not None
    assert len(objects.listed("rows/judge/key")) == 4  # one of many, and three that came later


def test_what_others_compute_meanwhile_is_seen_after_a_moment(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "AGAIN", 3600.0)
    first, second = machine("first"), machine("second")
    entry = second.store.entry("kind", {"n": 1}, second.compute)
    assert not entry.find()
    assert not second.store.features.get("judge/key", hashes(1))[0].any()
    first.store.features.put("judge/key", hashes(1), vectors(1))
    first.store.arrays("kind", {"n": 1}, first.compute)
    assert not second.store.features.get("judge/key", hashes(1))[0].any()  # it is not asked again each time
    assert not entry.find()
    monkeypatch.setattr(mirror, "AGAIN", 0.0)
    assert second.store.features.get("judge/key", hashes(1))[0].all()
    assert entry.find()
    assert second.n_computed == 0


def test_a_shard_that_is_damaged_there_is_replaced(machine: Callable[[str], Machine], tmp_path: Path) -> None:
    first, second = machine("first"), machine("second")
    first.store.features.put("judge/key", hashes(1, 2), vectors(1, 2))
    objects = first.store.mirror.objects
    assert objects is not None
    (name,) = objects.listed()
    (tmp_path / "bad").write_bytes((objects.read(name) or b"")[:-4] + b"oops")  # the last row
    objects.put(tmp_path / "bad", name)
    assert second.store.features.get("judge/key", hashes(1, 2))[0].tolist() == [True, False]
    second.store.features.put("judge/key", hashes(2), vectors(2))
    third = machine("third")
    known, rows = third.store.features.get("judge/key", hashes(1, 2))
    assert known.all()
    assert np.array_equal(rows["vector"], vectors(1, 2)["vector"])
    assert third.told == []


def test_a_key_is_listed_once(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    look = Objects.listed

    def counted(self: Objects, below: str = "") -> dict[str, int]:
        listed.append(below)
        return look(self, below)

    monkeypatch.setattr(Objects, "listed", counted)
    store = Machine(tmp_path / "first", url).store
    for k in range(5):
        store.features.put("judge/key", hashes(k), vectors(k))
        store.features.get("judge/key", hashes(k, k + 1))
        store.arrays("kind", {"n": k}, lambda: ARRAYS)
    assert listed == ["rows/judge/key"]


@pytest.mark.usefixtures("hasty")
def test_what_could_not_be_sent_is_sent_later(server: ObjectStore, tmp_path: Path) -> None:
    url = f"{server.bucket()}/cache"
    first = Machine(tmp_path / "first", url)
    first.store.arrays("kind", {"n": 0}, first.compute)
    server.stop()
    try:
        with pytest.raises(RemoteError, match="does not answer"):
            first.store.save("kind", "a" * 20, ARRAYS)
        with pytest.raises(RemoteError, match="does not answer"):
            first.store.features.put("judge/key", hashes(1), vectors(1))
    finally:
        server.start()
    assert len(Objects(url).listed()) == 1
    assert [item.state for item in scan(tmp_path / "first") if item.kind == "unsent"] == ["kept"] * 2
    again = Machine(tmp_path / "first", url)
    again.store.mirror.send_rest()
    assert len(Objects(url).listed()) == 3
    assert [item for item in scan(tmp_path / "first") if item.kind == "unsent"] == []
    second = Machine(tmp_path / "second", url)
    assert second.store.load("kind", "a" * 20) is not None
    assert second.store.features.get("judge/key", hashes(1))[0].all()


@pytest.mark.usefixtures("hasty")
def test_a_store_that_is_away_is_no_missing_entry(server: ObjectStore, tmp_path: Path) -> None:
    store = Machine(tmp_path / "first", f"{server.bucket()}/cache")
    server.stop()
    try:
        with pytest.raises(RemoteError):
            store.store.arrays("kind", {"n": 1}, store.compute)
    finally:
        server.start()
    assert store.n_computed == 0


def test_checkpoints_are_sent_now_and_then(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, steps = Machine(tmp_path / "first", url).store, list[float]()
    path = store.folder("models", "a" * 20) / "checkpoint.pt"
    path.parent.mkdir(parents=True)
    progress = store.mirror.checkpointed(path, lambda done, total, figures=None: steps.append(done))
    path.write_bytes(b"one")
    progress(1, 3, {})
    assert Objects(url).listed() == {}
    monkeypatch.setattr(mirror, "CHECKPOINTS", 0.0)
    path.write_bytes(b"two")
    progress(2, 3, {})
    assert Objects(url).read(f"models/{'a' * 20}/checkpoint.pt") == b"two"
    assert steps == [1, 2]


def test_a_store_here_knows_of_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objects, "_try", lambda *_: pytest.fail("something was asked"))
    store = Store(tmp_path)
    store.arrays("kind", {"n": 1}, lambda: ARRAYS)
    store.features.put("judge/key", hashes(1), vectors(1))
    assert not list(tmp_path.glob("unsent*"))


def test_the_cache_of_the_environment(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", url)
    monkeypatch.setenv("FSBENCH_CACHE_LOCAL", str(tmp_path / "first"))
    environment.open_store(Store, print).arrays("kind", {"n": 1}, lambda: ARRAYS)
    assert list((tmp_path / "first" / "kind").iterdir())
    monkeypatch.setenv("FSBENCH_CACHE_LOCAL", str(tmp_path / "second"))
    context: Context = environment.make_context("cpu")
    assert context.store.arrays("kind", {"n": 1}, lambda: pytest.fail("it is there"))["x"].size == 12
    assert set(Objects(url).listed()) == {path.relative_to(tmp_path / "first").as_posix()
                                          for path in (tmp_path / "first" / "kind").iterdir()}  # fmt: skip
    monkeypatch.delenv("FSBENCH_CACHE_LOCAL")
    folders = {environment.cache_root()}
    monkeypatch.setenv("FSBENCH_CACHE", f"{url}/other")
    folders.add(environment.cache_root())
    assert len(folders) == 2
    monkeypatch.setenv("FSBENCH_CACHE", "s3:/bucket/x")
    with pytest.raises(UsageError, match="is no URL"):
        environment.cache_root()
