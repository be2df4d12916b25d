"""Files of weights that are none: every reader says so in one sentence, and none of them hangs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fsbench.embedders._dlib_landmarks import read_shape_predictor
from fsbench.embedders._dlib_network import read_network as read_dlib
from fsbench.embedders._vggface2_h5 import is_h5, read_h5
from fsbench.errors import WeightsError
from fsbench.onnx.format import keeps_numbers_elsewhere
from fsbench.weights import import_file, own
from fsbench.weights.pickles import read_pickle
from fsbench.weights.tensors import read_tensors

READERS: list[Callable[[Path], object]] = [
    read_shape_predictor,
    read_dlib,
    keeps_numbers_elsewhere,
    is_h5,
    read_h5,
    read_pickle,
    read_tensors,
    own,
    lambda path: import_file(path, path.parent / "cache", "vggface2_resnet50_ft"),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("odd", ["pipe", "folder", "device", "nowhere", "NUL", "sparse"])
def test_what_is_no_regular_file_is_never_opened(reader: Callable[[Path], object], odd: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    match odd:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/zero")
        case "NUL":
            path = Path("a\0b")
        case "sparse":
            with path.open("wb") as file:
                file.truncate(1 << 40)
    with pytest.raises(WeightsError) as caught:
        reader(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_an_archive_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))
    with pytest.raises(WeightsError, match="unpacks to"):
        read_tensors(path)


def test_a_program_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "traced.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"archive/{name}", b"")
    with pytest.raises(WeightsError, match="TorchScript") as caught:
        read_tensors(path)
    assert "damaged" not in caught.value.message
    assert "state_dict" in caught.value.hint


def test_a_tensor_without_numbers_is_refused(tmp_path: Path) -> None:
    from fsbench.weights.tensors import check_tensors

    state = {"a": torch.empty(3, device="meta")}
    with pytest.raises(WeightsError, match="without plain numbers"):
        check_tensors(tmp_path / "x.pt", "this network", state, {"a": torch.zeros(3)}, ())
