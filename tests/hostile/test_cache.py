"""A cache is believed only where it is what was written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fsbench.environment import build_dataset
from fsbench.errors import OutputError
from fsbench.interfaces import Context
from fsbench.store import Store, content_digest, in_fixed_order, write_arrays

RECIPE = {"a": 1}
ARRAYS = {"x": np.arange(64, dtype=np.float32), "y": np.ones((2, 3), np.int64)}


def entry(store: Store) -> Path:
    store.arrays("kind", RECIPE, lambda: ARRAYS)
    return next(store.root.rglob("*.safetensors"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def zeros(path: Path) -> None:
    save_file({name: np.zeros_like(array) for name, array in ARRAYS.items()}, path)


def with_the_old_digest(path: Path) -> None:
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    write_arrays(path, {**load_file(path), "x": ARRAYS["x"] + 1}, header["__metadata__"])


def other_names(path: Path) -> None:
    save_file({"z": ARRAYS["x"]}, path)


def of_another_key(path: Path) -> None:
    Store(path.parents[1]).arrays("kind", {"a": 2}, lambda: {"x": ARRAYS["x"] * 2, "y": ARRAYS["y"]})
    (other,) = set(path.parent.iterdir()) - {path}
    shutil.copy(other, path)


def of_another_kind(path: Path) -> None:
    Store(path.parents[1]).arrays("other", RECIPE, lambda: {"x": ARRAYS["x"] * 2, "y": ARRAYS["y"]})
    shutil.copy(path.parents[1] / "other" / path.name, path)


def another_type(path: Path) -> None:
    write_arrays(path, {**ARRAYS, "x": ARRAYS["x"].view(np.int32)}, {})


def huge_header(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])


def huge_shape(path: Path) -> None:
    header = b'{"x":{"dtype":"F32","shape":[999999999999],"data_offsets":[0,3999999999996]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def nested(path: Path) -> None:
    header = b'{"x":' * 50_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGES = {
    "a bit": flip,
    "zeros": zeros,
    "changed under its digest": with_the_old_digest,
    "other names": other_names,
    "another key": of_another_key,
    "another kind": of_another_kind,
    "another type": another_type,
    "huge header": huge_header,
    "huge shape": huge_shape,
    "nested": nested,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "a text": lambda path: path.write_text("no arrays"),
    "a dead link": replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a pipe": replaced(os.mkfifo),
    "a device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "a folder": replaced(Path.mkdir),
    "a full folder": replaced(lambda path: (path / "deep").mkdir(parents=True)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_not_written_is_computed_again_and_told_once(tmp_path: Path, damage: str) -> None:
    told: list[str] = []
    path = entry(Store(tmp_path / "cache"))
    DAMAGES[damage](path)
    store = Store(tmp_path / "cache", told.append)
    for _ in range(2):
        found = store.arrays("kind", RECIPE, lambda: ARRAYS)
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in ARRAYS.items()
        }
    assert sum("computed again" in message for message in told) == 1
    assert all(str(tmp_path / "cache") in message for message in told)
    assert Store(tmp_path / "cache").load("kind", path.stem) is not None, "it was mended"


@settings(max_examples=150)
@given(st.data())
def test_no_byte_can_be_changed_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = entry(store := Store(tmp_path_factory.mktemp("cache")))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = store.load("kind", path.stem)
    assert found is None or all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EPERM])
def test_without_a_cache_that_can_be_written_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    told: list[str] = []
    store = Store(tmp_path / "cache", told.append)
    path = entry(store)
    flip(path)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    for recipe in (RECIPE, {"b": 1}, {"c": 1}):
        assert store.arrays("kind", recipe, lambda: ARRAYS)["x"].tolist() == ARRAYS["x"].tolist()
    assert not store.can_write(tmp_path / "cache" / "models" / "key")
    assert len(told) == 2  # damaged; not to be written


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_a_cache_in_an_impossible_place(place: str) -> None:
    told: list[str] = []
    assert Store(Path(place), told.append).arrays("kind", RECIPE, lambda: ARRAYS)["x"].size == 64
    assert len(told) == 1


def test_a_full_disk_stays_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space"):
        Store(tmp_path).arrays("kind", RECIPE, lambda: ARRAYS)


def test_what_has_no_key_is_not_kept(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return ARRAYS

    for _ in range(2):
        Store(tmp_path / "cache").arrays("kind", {"model": None, "pairs": "p"}, compute)
    assert len(calls) == 2
    assert not (tmp_path / "cache").exists()


def test_equal_arrays_and_facts_make_equal_files(tmp_path: Path) -> None:
    facts = {name: name for name in "zyxwvutsrq"}
    contents = set()
    for i in range(20):
        write_arrays(tmp_path / f"{i}", dict(sorted(ARRAYS.items(), reverse=bool(i % 2))), facts)
        contents.add((tmp_path / f"{i}").read_bytes())
    assert len(contents) == 1
    content = contents.pop()
    assert in_fixed_order(content) == content
    assert load_file(tmp_path / "3")["y"].tolist() == ARRAYS["y"].tolist()


def test_the_digest_of_a_folder_is_that_of_all_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / "a").write_text("1")
    (tmp_path / "beside").write_text("0")
    digests = [content_digest(folder)]
    for change in (
        lambda: (folder / "b" / "c").write_text("2"),
        lambda: (folder / "b" / "c").write_text("3"),
        lambda: (folder / "b" / "c").rename(folder / "c"),
        lambda: (folder / "c").unlink(),
        lambda: (folder / "link").symlink_to(tmp_path),  # and round in a circle
    ):
        change()
        digests.append(content_digest(folder))
    assert len(set(digests)) == 5
    assert digests[4] == digests[0]
    assert None not in digests


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("nowhere")]
)
def test_what_cannot_be_read_has_no_digest(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "odd")
    assert content_digest(tmp_path / "odd") is None
    assert content_digest(tmp_path) is None


def test_people_are_drawn_where_the_cache_cannot_be_written(
    fresh_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged entry in a read-only cache, and entries that are not there."""
    spec = "synthetic(people=2,sessions=2,images=1,gallery=0,clips=0,size=64)"
    whole = build_dataset(spec, fresh_context).faces("test")
    flip(sorted(fresh_context.store.root.rglob("*.safetensors"))[0])
    monkeypatch.setattr(Store, "can_write", lambda store, folder: store is not fresh_context.store)
    again = build_dataset(spec, fresh_context)
    assert again.faces("test").content_hash() == whole.content_hash()
    assert len(again.faces("train")) > 0
