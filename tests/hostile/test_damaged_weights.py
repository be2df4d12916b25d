"""Files of weights that were damaged or made to do harm: whatever is in them, one sentence or what they hold.

No traceback, no hang, and no memory for what a file only declares.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbench.embedders import _vggface2_h5 as h5
from fsbench.embedders._dlib_landmarks import read_shape_predictor
from fsbench.embedders._dlib_network import read_network as read_dlib
from fsbench.embedders.onnx import Onnx
from fsbench.environment import make_context
from fsbench.errors import FsbenchError
from fsbench.interfaces import Context
from fsbench.training import load_model, save_model
from fsbench.weights import find
from fsbench.weights.pickles import read_pickle
from fsbench.weights.tensors import check_tensors, read_tensors

Reader = Callable[[Path], object]
MEMORY = 1 << 30
"""Bytes that reading a few kilobytes may take more than before."""


def torch_file(zipped: bool) -> bytes:
    file = io.BytesIO()
    tensors = {"a": torch.rand(3, 4), "b": torch.arange(5), "c": torch.rand(2).half()}
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def keras_file() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as keras:
        keras.attrs["layer_names"] = [b"conv1", b"fc"]  # variable-length texts, which lie in a heap
        for layer in ("conv1", "fc"):
            values = [f"{layer}/{value}:0" for value in ("kernel", "bias")]
            keras.create_group(layer).attrs["weight_names"] = [value.encode() for value in values]
            keras[f"{layer}/{values[0]}"] = np.ones((3, 4), np.float32)
            keras[layer].create_dataset(values[1], data=np.ones(300, np.float32), chunks=(50,), compression="gzip")
    return file.getvalue()


def pickle_file(protocol: int) -> bytes:
    return pickle.dumps({"a": np.ones((3, 4), np.float32), "t": {"b": np.arange(3)}}, protocol)


def dlib_file(name: str, n_bytes: int) -> bytes:
    """The beginning of the real file: its layers are read one after another."""
    return find(name, Path("nowhere")).path.read_bytes()[:n_bytes]


def told(reader: Reader, path: Path) -> str:
    """What is wrong with a file, "" for nothing; any other error than FsbenchError is one of the test."""
    before, refusal = psutil.Process().memory_info().rss, FsbenchError("", "-")
    try:
        with warnings.catch_warnings(action="error"):  # they would be lines in the terminal
            reader(path)
    except FsbenchError as error:
        refusal = error
    assert psutil.Process().memory_info().rss - before < MEMORY
    assert refusal.message.isprintable()
    assert len(refusal.message) < 5000
    assert refusal.hint
    return refusal.message


SEEDS: dict[str, tuple[Callable[[], bytes], Reader]] = {
    "torch": (lambda: torch_file(zipped=True), read_tensors),
    "torch before 1.6": (lambda: torch_file(zipped=False), read_tensors),
    "pickle": (lambda: pickle_file(2), read_pickle),
    "pickle, protocol 5": (lambda: pickle_file(5), read_pickle),
    "dlib's network": (lambda: dlib_file("dlib_resnet", 40_000), read_dlib),
    "dlib's predictor": (lambda: dlib_file("dlib_landmarks5", 5_000), read_shape_predictor),
}
PLACES = st.floats(0, 1, exclude_max=True)
LARGE = [b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8, (1 << 40).to_bytes(8, "little"), b"\xff" * 4]
EDITS = st.one_of(
    st.tuples(st.just("put"), PLACES, st.binary(min_size=1, max_size=2) | st.sampled_from(LARGE)),
    st.tuples(st.just("insert"), PLACES, st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("cut"), PLACES, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("end"), PLACES, st.just(b"")),
)
FUZZ = settings(max_examples=400)


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, place, data in edits:
        at = int(place * len(content))
        match kind:
            case "put":
                content = content[:at] + data + content[at + len(data) :]
            case "insert":
                content = content[:at] + data + content[at:]
            case "cut":
                content = content[:at] + content[at + len(data) :]
            case "end":
                content = content[:at]
    return content


@pytest.mark.parametrize("kind", SEEDS)
@FUZZ
@given(edits=st.lists(EDITS, max_size=4))
def test_a_damaged_file_is_a_sentence(kind: str, edits: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    write, reader = SEEDS[kind]
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    path.write_bytes(edited(write(), edits))
    told(reader, path)


@settings(FUZZ, max_examples=200)
@given(edits=st.lists(EDITS, max_size=4))
def test_a_damaged_onnx_is_a_sentence(
    edits: list, write_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, context = tmp_path_factory.getbasetemp() / "damaged.onnx", make_context("cpu")
    random = np.random.default_rng(0)
    write_onnx(path, random.normal(size=(4, 3, 5, 5)), random.normal(size=(8, 4, 3, 3)), size=32)
    path.write_bytes(edited(path.read_bytes(), edits))
    told(lambda path: Onnx(file=str(path), context=context), path)


@settings(FUZZ, max_examples=15)
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_a_damaged_h5_is_a_sentence(edits: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each is read in a process of its own first, which takes half a second."""
    path = tmp_path_factory.getbasetemp() / "damaged.h5"
    path.write_bytes(edited(keras_file(), edits))
    h5._fatal.cache_clear()  # two files of one size, in the same moment
    told(h5.read_h5, path)


@FUZZ
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_a_damaged_model_is_a_sentence(edits: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    save_model(path, {"a": torch.ones(3, 4)}, {"architecture": "toy", "size": 3})
    path.write_bytes(edited(path.read_bytes(), edits))
    told(lambda path: load_model(path, "toy", {"size": "auto"}), path)


# --------------------------------------------------------------------------------------------------------- made to harm


def nested(depth: int) -> bytes:
    """A pickle's tuple in a tuple in a tuple."""
    return b"N" + b"\x85" * depth


@pytest.mark.parametrize(
    "where",
    [
        "a key",
        "a key before 1.6",
        "a set",
        "an ordered table",
        "an element between",
        "a storage",
        "the list of storages",
    ],
)
def test_a_key_that_python_cannot_hash_does_not_end_the_process(where: str, tmp_path: Path) -> None:
    """Reading one of these without looking through it first is a segmentation fault."""
    deep = nested(1_000_000)
    content = b"\x80\x02" + {
        "a set": b"cbuiltins\nset\n]" + deep + b"a\x85R.",
        "an ordered table": b"ccollections\nOrderedDict\n]" + deep + b"K\x01\x86a\x85R.",
        "an element between": b"}N" + b"K\x01\x86" * 1_000_000 + b"K\x01s.",
        "a storage": b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + deep + b"X\x03\x00\x00\x00cpuK\x01tQ.",
    }.get(where, b"}" + deep + b"K\x01s.")
    path = tmp_path / "deep.pt"
    if where.endswith("1.6"):
        path.write_bytes(content)
    elif where == "the list of storages":
        whole = torch_file(zipped=False)
        at = whole.rindex(b"\x80\x02]")
        path.write_bytes(whole[:at] + b"\x80\x02]" + deep + b"a.")
    else:
        with zipfile.ZipFile(io.BytesIO(torch_file(zipped=True))) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, content if name.endswith("data.pkl") else old.read(name))
    assert "no file of tensors" in (message := told(read_tensors, path)) or "more than tensors" in message
    pickled = tmp_path / "deep.pkl"
    pickled.write_bytes(content)
    assert told(read_pickle, pickled)


def test_numbers_as_keys_are_no_harm(tmp_path: Path) -> None:
    """As in the state of an optimizer."""
    torch.save({"model": {"a": torch.ones(1)}, "optimizer": {"state": {0: {"step": 1}}}}, tmp_path / "whole.pt")
    state = read_tensors(tmp_path / "whole.pt")
    assert set(state) == {"model", "optimizer"}
    message = told(lambda path: check_tensors(path, "the toy", state, {"a": torch.ones(1)}, ()), tmp_path / "whole.pt")
    assert "model is no tensor (dict) instead of not there" in message


@pytest.mark.parametrize("declared", [1 << 32, 1 << 40, (1 << 64) - 1])
def test_bytes_that_a_pickle_only_declares_take_no_memory(declared: int, tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    path.write_bytes(b"\x80\x05}X\x01\x00\x00\x00a\x96" + struct.pack("<Q", declared) + b"abcs.")
    assert told(read_pickle, path)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a" * 10_000])
def test_names_in_files_are_quoted_in_one_short_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "names.bin"
    path.write_bytes(pickle.dumps({name: np.ones(3)}, 2))
    state = {key: torch.tensor(array) for key, array in read_pickle(path).items()}
    assert "does not hold" in told(lambda path: check_tensors(path, "the toy", state, {}, ()), path)
    path.write_bytes(b"\x80\x04\x8c" + bytes([len(name.encode()[:200])]) + name.encode()[:200] + b"\x8c\x01x\x93.")
    assert "asks to call" in told(read_pickle, path)


@pytest.mark.parametrize("fault", ["many disks", "storage", "protocol"])
def test_what_torch_stumbles_over(fault: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "odd.pt", torch_file(zipped=fault == "many disks")
    match fault:
        case "many disks":  # of the 64 bit end of its table
            at = whole.index(b"PK\x06\x07")
            whole = whole[: at + 16] + b"\x05" + whole[at + 17 :]
        case "storage":
            at = list(re.finditer(rb"X.{4}\d{6,}", whole, re.DOTALL))[-1].end()  # in the list of storages
            whole = whole[: at - 1] + b"x" + whole[at:]
        case "protocol":
            at = whole.index(b"\x80\x02}", 20)
            whole = whole[: at + 1] + b"\x71" + whole[at + 2 :]
    path.write_bytes(whole)
    assert told(read_tensors, path)


@pytest.mark.parametrize(("size", "reason"), [(2**64 - 16, "does not come to an end"), (2**64 - 8, "")])
def test_an_h5_in_which_its_library_goes_round_in_circles(
    size: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5, "PATIENCE", 3.0)
    path, content = tmp_path / "circle.h5", bytearray(keras_file())
    at = content.index(b"GCOL") + 24  # the size of the first text in the heap
    content[at : at + 8] = size.to_bytes(8, "little")
    path.write_bytes(content)
    assert reason in told(h5.read_h5, path)
    assert "damaged" in told(h5.has_classifier, path)


def test_an_h5_that_crashes_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "crash.h5"
    path.write_bytes(keras_file())
    monkeypatch.setattr(h5, "_CODE", "import os; os.kill(os.getpid(), 11)")
    assert "crashes in it (exit code -11)" in told(h5.read_h5, path)


def test_an_h5_that_declares_more_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"fc"]
        file.create_group("fc").attrs["weight_names"] = [b"fc/kernel:0"]
        file["fc"].create_dataset("fc/kernel:0", (1 << 20, 1 << 20), np.float32)
    assert "declares" in told(h5.read_h5, path)


@pytest.mark.parametrize("where", [b"N", b"features", b"image"])
def test_an_onnx_with_names_that_are_no_text(
    where: bytes, write_onnx: Callable[..., Path], tmp_path: Path, context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_onnx(tmp_path / "odd.onnx", np.ones((8, 3, 5, 5)), size=32)
    path.write_bytes(path.read_bytes().replace(where, b"\xec" * len(where)))
    assert told(lambda path: Onnx(file=str(path), context=context), path)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "integer", [b"\x08" + b"\xff" * 7 + b"\x7f", b"\x04\xff\xff\xff\x7f", b"\x88" + b"\xff" * 8, b"\x70"]
)
def test_sizes_that_a_dlib_file_only_declares(integer: bytes, tmp_path: Path) -> None:
    """In place of the length of its name, and as the first of the sizes of a tensor."""
    path, whole = tmp_path / "large.dat", dlib_file("dlib_resnet", 40_000)
    for at in (whole.index(b"loss_metric_2") - 2, whole.index(b"con_4") + 7):
        path.write_bytes(whole[:at] + integer + whole[at + 2 :])
        assert "not the dlib model" in told(read_dlib, path)
        assert "dlib" in told(read_shape_predictor, path)
