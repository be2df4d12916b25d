"""Pickles of weights are read, whoever wrote them, and what else a pickle may ask for is refused before it runs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsbench.embedders._vggface2 import KINDS, choose
from fsbench.embedders.vggface2_resnet50 import Vggface2Resnet50
from fsbench.errors import FsbenchError, WeightsError
from fsbench.interfaces import Context
from fsbench.weights import CATALOGUE
from fsbench.weights.files import pin_path
from fsbench.weights.pickles import read_pickle


def write_pickle(path: Path, content: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def refused(path: Path, context: Context) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        Vggface2Resnet50(context=replace(context, path=str(path)))
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "fsbench weights list" in caught.value.hint
    return caught.value


class Creates:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_does_not_run(tmp_path: Path, context: Context) -> None:
    victim = tmp_path / "victim"
    evil = {"conv1.weight": np.zeros(3, np.float32), "bn1.weight": Creates(victim)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = write_pickle(tmp_path / f"evil{protocol}.pkl", evil, protocol)
        error = refused(path, context)
        assert "nothing ran" in error.message
        assert not victim.exists()
    pickle.loads(path.read_bytes())  # the same bytes do it where nothing is refused
    assert victim.exists()


@pytest.mark.parametrize(
    "call",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'file'\ntR.",
        b"c_codecs\ndecode\n(S'1'\ntR.",
        b"c_codecs\nlookup\n(S'latin1'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(tR.",
        b"(S'true'\nios\nsystem\n.",
        b"cnumpy\ndtype.__init__.__globals__\n.",
    ],
)
def test_everything_but_arrays_is_refused(call: bytes, tmp_path: Path, context: Context) -> None:
    path = tmp_path / "call.pkl"
    path.write_bytes(call)
    assert "nothing ran" in refused(path, context).message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not weights\n",
        b"\x80\x02}.",  # an empty dictionary
        b"\x80\x02]q\x00.",  # a list
        b"c_codecs\nencode\n(S'x'\nS'idna'\ntR.",
        b"c_codecs\nencode\n(I1\nI2\ntR.",
        pickle.dumps({"conv1.weight": np.array([object], object).astype(str)}),
        pickle.dumps({"conv1.weight": 3}),
        pickle.dumps({"conv1.weight": np.zeros(2, np.float32)})[:-9],
        b"PK\x03\x04 a zip, as torch.save writes it",
    ],
)
def test_what_is_no_dictionary_of_arrays_is_refused(content: bytes, tmp_path: Path, context: Context) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    refused(path, context)


def test_a_pinned_file_that_cannot_be_loaded_is_to_be_removed_with_its_pin(fresh_context: Context) -> None:
    folder = fresh_context.store.root / "weights"
    folder.mkdir(parents=True)
    path = write_pickle(folder / CATALOGUE["vggface2_resnet50_ft"].file, {"conv1.weight": 3}, 2)
    file = choose("resnet50", KINDS, fresh_context)
    assert (file.name, file.path) == ("vggface2_resnet50_ft", path)
    with pytest.raises(WeightsError, match="damaged") as caught:
        read_pickle(path)
    assert caught.value.hint == (
        f"remove {path} and {pin_path(path)}, then fsbench weights import PATH --as vggface2_resnet50_ft"
    )


def test_a_file_by_path_may_be_under_the_licence_of_what_it_stands_in_for(tmp_path: Path, context: Context) -> None:
    path = write_pickle(tmp_path / "mine.pkl", {}, 2)
    file = choose("resnet50", KINDS, replace(context, path=str(path)))
    assert (file.name, file.licence) == ("mine.pkl", "MIT, if it is the authors' file")
    assert CATALOGUE["vggface2_resnet50_keras"].restriction in file.note


NESTED = b"(t" + b"\x85" * 200_000  # ((((...),),),)


@pytest.mark.parametrize(
    "content",
    [
        b"}" + NESTED + b"K\x00s.",
        b"}(" + NESTED + b"K\x00u.",
        b"(" + NESTED + b"K\x00d.",
        b"\x8f(" + NESTED + b"\x90.",
        b"(" + NESTED + b"\x91.",
        b"})" + b"2\x86" * 100 + b"K\x00s.",  # pairs of pairs: 2 ** 100 to hash
    ],
    ids=["item", "items", "table", "set", "frozen set", "pairs"],
)
def test_what_cannot_be_hashed_in_reason_is_refused(content: bytes, tmp_path: Path, context: Context) -> None:
    """Python crashes when it hashes a tuple of such depth."""
    path = tmp_path / "nested.pkl"
    path.write_bytes(b"\x80\x04" + content)
    assert "damaged" in refused(path, context).message


def test_a_pickle_damaged_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """No other error than WeightsError, whatever byte is hit."""
    whole = pickle.dumps({f"conv{i}.weight": np.arange(4, dtype=np.float32) for i in range(3)}, protocol=2)
    path, draw, n_refused = tmp_path / "damaged.pkl", np.random.default_rng(0), 0
    for _ in range(600):
        bad = bytearray(whole)
        bad[draw.integers(len(bad))] = draw.integers(256)
        path.write_bytes(bytes(bad[: draw.integers(len(bad) // 2, 2 * len(bad))]))
        try:
            read_pickle(path)
        except FsbenchError as error:
            assert isinstance(error, WeightsError)  # noqa: PT017 - anything else would have come through
            n_refused += 1
    assert n_refused > 100


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_and_numpy_are_read(protocol: int, tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.array(7, ">f4"),
        "e": np.arange(4, dtype=np.float16)[::2],
    }
    path = write_pickle(tmp_path / "arrays.pkl", arrays, protocol)
    old = tmp_path / "old.pkl"  # as numpy 1 wrote it, where names stand in lines of their own
    old.write_bytes(path.read_bytes().replace(b"cnumpy._core.", b"cnumpy.core."))
    for one in (path, old):
        found = read_pickle(one)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_arrays_that_python_2_wrote_are_read(tmp_path: Path) -> None:
    """Its strings are bytes: opcode U and a length, where Python 3 has unicode."""
    path = tmp_path / "python2.pkl"
    path.write_bytes(
        b"\x80\x02}q\x00U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08" + np.array([1.5, -2], "<f4").tobytes() + b"tbs."
    )
    np.testing.assert_array_equal(read_pickle(path)["a"], np.array([1.5, -2], np.float32))


def test_arrays_in_tables_are_named_by_their_path(tmp_path: Path) -> None:
    content = {"backbone": {"conv0": {"kernel": np.ones(2), "bias": np.zeros(1)}}, "head": np.full(1, 3.0)}
    found = read_pickle(write_pickle(tmp_path / "nested.pkl", content, 4))
    assert {name: array.sum() for name, array in found.items()} == {
        "backbone/conv0/kernel": 2,
        "backbone/conv0/bias": 0,
        "head": 3,
    }


def test_tables_that_cannot_be_unfolded_in_reason_are_refused(tmp_path: Path) -> None:
    itself: dict[str, Any] = {}
    itself["again"] = itself
    twice: dict[str, Any] = {"a": np.zeros(1)}
    for _ in range(5):
        twice = {"left": twice, "right": twice}
    deep: dict[str, Any] = {"a": np.zeros(1)}
    for _ in range(200):
        deep = {"a": deep}
    for content in (itself, twice, deep):
        with pytest.raises(WeightsError, match="no pickle of arrays"):
            read_pickle(write_pickle(tmp_path / "tables.pkl", content, 4))
