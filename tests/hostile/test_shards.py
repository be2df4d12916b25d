"""Shards are believed only where they are what was written: whatever else lies there is told once, and mended."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fsbench import hashes
from fsbench.store import Store

KEY, OTHER, N = "kind/key", "kind/other", 24
HASHES = hashes.of_rows(np.arange(N))


def rows(index: range, scale: float = 1.0) -> dict[str, np.ndarray]:
    n = np.array(index, np.float32)
    return {"vector": scale * (n[:, None] + np.arange(3, dtype=np.float32)), "top": n.astype(np.int64)}


def filled(root: Path) -> list[Path]:
    """Two shards of one key, one of another key with other rows of the same images."""
    store = Store(root).features
    for half in (range(N // 2), range(N // 2, N)):
        store.put(KEY, HASHES[half], rows(half))
    store.put(OTHER, HASHES, rows(range(N), scale=2))
    return sorted((root / "rows" / KEY).iterdir())


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def place_of(path: Path, array: str) -> int:
    """Where an array begins in a file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    return start + int(json.loads(content[8:start])[array]["data_offsets"][0])


def swap(path: Path, other: Path) -> None:
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def without_index(path: Path) -> None:
    save_file({name: array for name, array in load_file(path).items() if "index" not in name}, path)


def other_rows(path: Path) -> None:
    """Rows changed under their index and digest."""
    content = bytearray(path.read_bytes())
    start = place_of(path, "rows/vector")
    content[start : start + N // 2 * 12] = rows(range(N // 2), scale=3)["vector"].tobytes()
    path.write_bytes(content)


def of_another_key(path: Path) -> None:
    (other,) = path.parents[1].joinpath("other").iterdir()
    shutil.copy(other, path)


def of_another_key_under_its_name(path: Path) -> None:
    (other,) = path.parents[1].joinpath("other").iterdir()
    shutil.copy(other, path.with_name(other.name))
    path.unlink()


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def header(text: bytes) -> Callable[[Path], None]:
    return lambda path: void(path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64)))


def void(_: object) -> None:
    pass


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit of a row": lambda path: flip(path, place_of(path, "rows/vector") + 13),
    "a bit of a class": lambda path: flip(path, place_of(path, "rows/top") + 8),
    "a bit of a hash": lambda path: flip(path, place_of(path, "index/hashes") + 33),
    "a bit of a check": lambda path: flip(path, place_of(path, "index/checks") + 17),
    "a bit of the header": lambda path: flip(path, 12),
    "the last bit": lambda path: flip(path, -1),
    "other rows": other_rows,
    "no index": without_index,
    "truncated by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "truncated to the header": lambda path: os.truncate(path, 100),
    "truncated to nothing": lambda path: os.truncate(path, 0),
    "three bytes": lambda path: os.truncate(path, 3),
    "swapped": lambda path: swap(path, max(path.parent.iterdir())),
    "another key": of_another_key,
    "another key under its name": of_another_key_under_its_name,
    "another name": lambda path: void(path.rename(path.with_name(f"{'0' * 20}.safetensors"))),
    "a text": lambda path: void(path.write_text("no rows at all")),
    "huge header": lambda path: void(path.write_bytes((2**62).to_bytes(8, "little") + bytes(64))),
    "a header that is a list": header(b"[1, 2]"),
    "a header of numbers": header(b'{"index/hashes": 3, "__metadata__": {"digest": ""}}'),
    "huge shape": header(
        b'{"__metadata__": {"digest": ""}, "index/hashes": {"dtype": "U8", "shape": [99999999999999999999, 32], '
        b'"data_offsets": [0, 64]}}'
    ),
    "nested": header(b'{"x":' * 50_000),
    "a dead link": replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a pipe": replaced(os.mkfifo),
    "a device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "a folder": replaced(Path.mkdir),
    "a full folder": replaced(lambda path: (path / "deep").mkdir(parents=True)),
}


def ask(store: Store) -> int:
    """Ask for all rows and put those that are not known, which are counted; what is known is right."""
    known, found = store.features.get(KEY, HASHES)
    right = rows(range(N))
    for name, array in found.items():
        assert np.array_equal(array, right[name][known])
    missing = np.flatnonzero(~known)
    store.features.put(KEY, HASHES[missing], {name: array[missing] for name, array in right.items()})
    return len(missing)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_not_written_is_told_once_and_mended(tmp_path: Path, damage: str) -> None:
    told: list[str] = []
    DAMAGES[damage](filled(tmp_path)[0])
    store = Store(tmp_path, told.append)
    assert 0 < ask(store) <= N
    assert ask(store) == 0
    assert [("computed again" in message, str(tmp_path) in message) for message in told] == [(True, True)]
    again: list[str] = []
    assert ask(Store(tmp_path, again.append)) == 0
    assert not again, "it was mended"


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_happens_to_a_shard_that_is_open_is_noticed(tmp_path: Path, damage: str) -> None:
    told: list[str] = []
    path, store = filled(tmp_path)[0], Store(tmp_path, told.append)
    assert ask(store) == 0
    DAMAGES[damage](path)
    assert 0 < ask(store) <= N
    assert ask(store) == 0
    assert len(told) == 1


def test_one_row_is_computed_again_and_the_others_stay(tmp_path: Path) -> None:
    path = filled(tmp_path)[0]
    flip(path, place_of(path, "rows/vector") + 13)
    assert ask(Store(tmp_path)) == 1


def test_damage_in_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be mended: what is intact is used, and both are told once."""
    path = filled(tmp_path)[0]
    flip(path, place_of(path, "rows/vector") + 13)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    opened = Path.open

    def refuse_to_write(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        return opened(path, mode, *more, **options) if mode in ("r", "rb") else refuse()

    for name, replacement in {"unlink": refuse, "rename": refuse, "open": refuse_to_write}.items():
        monkeypatch.setattr(Path, name, replacement)
    told: list[str] = []
    store = Store(tmp_path, told.append)
    assert [ask(store), ask(store)] == [1, 1]
    assert len(told) == 2


@settings(max_examples=150)
@given(st.data())
def test_no_byte_can_be_changed_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("cache")
    path = filled(root)[0]
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert 0 <= ask(Store(root)) <= N // 2  # `ask` compares all that is believed
