from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from fsbench import weights
from fsbench.errors import UnknownName, WeightsError
from fsbench.weights.files import pin_path, read_pin

Adapt = Callable[..., weights.Weights]
HASHED, UNHASHED = "mobilefacenet", "vggface2_resnet50_ft"


def pickled(protocol: int = 2, **arrays: np.ndarray) -> bytes:
    return pickle.dumps(arrays or {"weight": np.ones((4, 3), np.float32)}, protocol)


PICKLE, OTHER = pickled(), pickled(weight=np.zeros((4, 3), np.float32))


def torch_saved(zipped: bool = True, **tensors: torch.Tensor) -> bytes:
    file = io.BytesIO()
    torch.save(tensors or {"weight": torch.ones(4, 3)}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def keras_saved() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["layer_names"] = [b"toy"]
        h5.create_group("toy").attrs["weight_names"] = [b"toy/kernel:0"]
        h5["toy/toy/kernel:0"] = np.ones((3, 4), np.float32)
    return file.getvalue()


@pytest.fixture(autouse=True)
def _toys(toy: Adapt) -> None:
    """Entries without a published hash are of a network that a test can write."""
    for name in ("facenet_vggface2", "vggface2_senet50_keras", UNHASHED):
        toy(name)


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


@pytest.mark.parametrize(
    ("name", "content", "fits"),
    [
        ("facenet_vggface2", b"<html>", False),
        ("facenet_vggface2", torch_saved(), True),
        ("facenet_vggface2", torch_saved(zipped=False), True),
        ("facenet_vggface2", PICKLE, False),
        ("vggface2_senet50_keras", b"<html>", False),
        ("vggface2_senet50_keras", keras_saved(), True),
        ("vggface2_senet50_keras", b"", False),
        (UNHASHED, b"<html>", False),
        *((UNHASHED, pickled(protocol), True) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
    ],
)
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
