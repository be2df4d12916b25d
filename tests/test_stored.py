"""Arrays that stay in the store: nothing else is read than what is asked for, and nothing is believed unverified."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fsbench.errors import OutputError
from fsbench.images import ImageSet
from fsbench.store import Arrays, Store
from tests.hostile.test_cache import ARRAYS, DAMAGES, flip

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)


class Computing:
    """Counts how often the arrays are computed."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self) -> Arrays:
        self.n += 1
        return {"pixels": PIXELS, "seconds": np.array([1.5]), "none": np.zeros((0, 4), np.float32)}


def file_of(store: Store) -> Path:
    return next(store.root.rglob("*.safetensors"))


def test_arrays_come_back_whole_and_by_rows(tmp_path: Path) -> None:
    for _ in range(2):
        entry = Store(tmp_path).entry("kind", {"a": 1}, compute := Computing())
        assert {name: array.tolist() for name, array in entry.items()} == {
            name: array.tolist() for name, array in Computing()().items()
        }
        assert entry["none"].shape == (0, 4)
        for rows in ([], [3], [8, 0, 0, 4, 5], range(9)):
            index = np.array(rows, np.int64)
            assert np.array_equal(entry.rows("pixels", index), PIXELS[index])
        with pytest.raises(KeyError):
            entry["other"]
    assert compute.n == 0


def test_nothing_is_computed_before_it_is_asked_for(tmp_path: Path) -> None:
    entry = Store(tmp_path).entry("kind", 1, compute := Computing())
    assert not entry.find()
    assert compute.n == 0
    assert entry.shape("pixels") == (9, 8, 8, 3)
    assert compute.n == 1


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("late", [False, True], ids=["before the run", "between two reads"])
def test_what_was_not_written_is_computed_again(tmp_path: Path, damage: str, late: bool) -> None:
    told: list[str] = []
    computed: list[int] = []

    def compute() -> Arrays:
        computed.append(1)
        return ARRAYS

    Store(tmp_path / "cache").arrays("kind", {"a": 1}, lambda: ARRAYS)
    entry = Store(tmp_path / "cache", told.append).entry("kind", {"a": 1}, compute)
    if late:
        assert np.array_equal(entry["x"], ARRAYS["x"])
    DAMAGES[damage](file_of(Store(tmp_path / "cache")))
    assert np.array_equal(entry.rows("x", np.array([8, 2])), ARRAYS["x"][[8, 2]])
    assert np.array_equal(entry["y"], ARRAYS["y"])
    assert len(computed) == 1
    assert sum("computed again" in message for message in told) == len(told) == 1


def test_a_file_that_is_gone_is_computed_again(tmp_path: Path) -> None:
    entry = Store(tmp_path / "cache").entry("kind", 1, compute := Computing())
    assert entry["seconds"] == 1.5
    shutil.rmtree(tmp_path / "cache")
    assert np.array_equal(entry["pixels"], PIXELS)
    assert compute.n == 2


def test_a_file_that_never_holds_still_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    entry = store.entry("kind", 1, Computing())
    assert len(entry) == 3
    save = Store.save

    def spoil(self: Store, *args: object) -> None:
        save(self, *args)  # type: ignore[arg-type]
        flip(file_of(store))

    monkeypatch.setattr(Store, "save", spoil)
    flip(file_of(store))
    states = iter(range(99))
    monkeypatch.setattr("fsbench.stored._state", lambda file: (next(states),))
    with pytest.raises(OutputError, match="changed while it is read") as error:
        entry["pixels"]
    assert "\n" not in error.value.message


def test_an_image_of_a_set_is_the_same_after_its_file_was_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    images = ImageSet.stored([store.entry("kind", 1, Computing())], "pixels").select(slice(4, None))
    before = images.content_hash()
    flip(file_of(store))
    assert np.array_equal(images.levels([0]), PIXELS[[4]])
    assert images.content_hash() == before


def closed(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """A store that can be read and not written."""
    save = Store.save

    def refuse(self: Store, *args: object) -> None:
        if self.root == root:
            raise OutputError(f"cannot write {root}", "")
        save(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "save", refuse)


@pytest.mark.parametrize("there", [False, True], ids=["empty", "damaged"])
def test_what_a_closed_store_does_not_take_is_kept_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    told: list[str] = []
    if there:
        assert len(Store(tmp_path).entry("kind", 1, Computing())) == 3
        flip(file_of(Store(tmp_path)))
    closed(monkeypatch, tmp_path)
    store, compute = Store(tmp_path, told.append), Computing()
    for _ in range(2):
        assert np.array_equal(store.entry("kind", 1, compute)["pixels"], PIXELS)
    assert compute.n == 1
    assert file_of(store.passing).is_file()
    assert len(told) == 1 + there


def test_what_has_no_key_is_kept_until_the_end_and_not_longer(tmp_path: Path) -> None:
    store, compute = Store(tmp_path / "cache"), Computing()
    entries = [store.entry("kind", {"model": None}, compute) for _ in range(2)]
    assert all(np.array_equal(entry["pixels"], PIXELS) for entry in entries for _ in range(2))
    assert compute.n == 2
    assert not (tmp_path / "cache").exists()


def same_bytes(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("touch", [same_bytes, Path.touch])
def test_a_file_that_was_touched_is_verified_and_not_computed(tmp_path: Path, touch: Callable[[Path], object]) -> None:
    store = Store(tmp_path)
    entry = store.entry("kind", 1, compute := Computing())
    assert len(entry) == 3
    touch(file_of(store))
    assert np.array_equal(entry["pixels"], PIXELS)
    assert compute.n == 1
