from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import weights
from fsbench.errors import UnknownName, WeightsError
from fsbench.weights.files import pin_path, read_pin

Adapt = Callable[..., weights.Weights]
HASHED, UNHASHED = "mobilefacenet", "vggface2_resnet50_ft"
PICKLE, OTHER = b"\x80\x02network", b"\x80\x02another"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def make(folder: Path, content: bytes, name: str = "whatever.bin") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["", HASHED])
def test_a_file_is_recognised_by_its_hash(name: str, adapt: Adapt, tmp_path: Path, folder: Path) -> None:
    entry = adapt(HASHED, b"network")
    found = weights.import_file(make(tmp_path, b"network"), folder, name)
    assert found == weights.find(HASHED, folder)
    assert found.path.read_bytes() == b"network"
    assert [path.name for path in folder.iterdir()] == [entry.file]


def test_a_file_in_place_of_a_damaged_one(adapt: Adapt, tmp_path: Path, folder: Path) -> None:
    entry = adapt(HASHED, b"network")
    folder.mkdir()
    make(folder, b"damaged", entry.file)
    assert weights.import_file(make(tmp_path, b"network"), folder).path.read_bytes() == b"network"


def test_another_file_is_not_taken_for_one_with_a_hash(adapt: Adapt, tmp_path: Path, folder: Path) -> None:
    entry = adapt(HASHED, b"network")
    with pytest.raises(WeightsError) as caught:
        weights.import_file(make(tmp_path, b"another"), folder, HASHED)
    assert entry.sha256[:12] in caught.value.message
    assert not folder.exists()


def test_a_file_that_nobody_knows_needs_a_name(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsError, match="by its hash") as caught:
        weights.import_file(make(tmp_path, b"network"), folder)
    assert "--as" in caught.value.hint
    assert UNHASHED in caught.value.hint
    assert HASHED not in caught.value.hint


def test_a_file_without_a_published_hash_is_pinned(tmp_path: Path, folder: Path) -> None:
    found = weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED)
    pin = read_pin(found.path)
    assert pin is not None
    assert (pin.sha256, pin.size, pin.origin) == (found.sha256, len(PICKLE), "imported from whatever.bin")
    assert "pinned at first use" in found.note
    assert weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED) == found


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "put there by hand"])
def test_another_file_does_not_replace_one_that_is_there(pinned: bool, tmp_path: Path, folder: Path) -> None:
    if pinned:
        path = weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED).path
    else:
        folder.mkdir()
        path = make(folder, PICKLE, weights.CATALOGUE[UNHASHED].file)
    with pytest.raises(WeightsError) as caught:
        weights.import_file(make(tmp_path, OTHER), folder, UNHASHED)
    assert str(pin_path(path)) in caught.value.hint
    assert path.read_bytes() == PICKLE


def test_the_pinned_file_comes_back_after_damage(tmp_path: Path, folder: Path) -> None:
    path = weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED).path
    path.write_bytes(b"damaged")
    assert weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED).path.read_bytes() == PICKLE


@pytest.mark.parametrize(("name", "content", "fits"), [
    ("facenet_vggface2", b"<html>", False),
    ("facenet_vggface2", b"PK\x03\x04", True),
    ("facenet_vggface2", pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), True),
    ("facenet_vggface2", PICKLE, False),
    ("vggface2_senet50_keras", b"<html>", False),
    ("vggface2_senet50_keras", b"\x89HDF\r\n\x1a\n", True),
    ("vggface2_senet50_keras", b"", False),
    (UNHASHED, b"<html>", False),
    *((UNHASHED, pickle.dumps({"a": 1}, protocol), True) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
])
def test_the_format_is_looked_at_before_a_file_is_pinned(
    name: str, content: bytes, fits: bool, tmp_path: Path, folder: Path
) -> None:
    source = make(tmp_path, content)
    if fits:
        assert weights.import_file(source, folder, name).path.read_bytes() == content
        return
    with pytest.raises(WeightsError, match="does not begin as") as caught:
        weights.import_file(source, folder, name)
    assert name in caught.value.hint
    assert not folder.exists()


def test_a_file_of_another_kind_that_was_put_there_by_hand_is_replaced(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    make(folder, b"<html>", weights.CATALOGUE[UNHASHED].file)
    assert weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED).path.read_bytes() == PICKLE


def test_what_cannot_be_imported(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsError, match="no file"):
        weights.import_file(tmp_path / "nowhere", folder, UNHASHED)
    with pytest.raises(UnknownName, match="did you mean"):
        weights.import_file(make(tmp_path, PICKLE), folder, UNHASHED[:-1])
