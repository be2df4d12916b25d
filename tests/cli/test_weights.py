from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsbench import weights
from fsbench.errors import WeightsError

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without weights."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/weights"


class Shop:
    """A source that gives a file, or what a test lets it do instead."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.error: BaseException | None = None

    def __str__(self) -> str:
        return "the shop"

    def fetch(self, path: Path, check: weights.sources.Check, progress: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.error is not None:
            raise self.error
        path.write_bytes(self.content)
        check(path)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Offers edgeface_s."""
    source = Shop(b"network")
    published = hashlib.sha256(source.content).hexdigest()
    entry = replace(weights.CATALOGUE["edgeface_s"], sha256=published, size=7, sources=(source,))
    monkeypatch.setitem(weights.CATALOGUE, "edgeface_s", entry)
    return source


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for vggface2_senet50_ft, of which it is not asked here what its network is (see tests/weights)."""
    monkeypatch.setattr("fsbench.weights.fetching.check_network", lambda path, entry: None)
    path = tmp_path / "mine.pkl"
    path.write_bytes(b"\x80\x02pickle")
    return path


def test_what_is_no_network_is_not_imported(invoke: Invoke, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "mine.pkl").write_bytes(b"\x80\x02pickle")
    code, _, errors = invoke("weights", "import", tmp_path / "mine.pkl", "--as", "vggface2_senet50_ft")
    assert code == 2
    assert "mine.pkl is damaged, or no pickle of arrays by name" in errors
    assert not folder.exists()


def test_the_list_says_what_is_here(invoke: Invoke) -> None:
    code, said, _ = invoke("weights", "list")
    assert code == 0
    lines = {line.split()[0]: line for line in said.splitlines() if line.split()}
    assert set(weights.CATALOGUE) <= set(lines)
    assert "yes" in lines["dlib_resnet"]
    assert "22.5 MB" in lines["dlib_resnet"]
    assert "yes" not in lines["sface"]
    assert "restricted" in lines["edgeface_s"]
    assert invoke("list", "weights") == (0, said, "")


def test_the_list_as_json_is_complete(invoke: Invoke) -> None:
    code, said, _ = invoke("weights", "list", "--json")
    rows = {row["name"]: row for row in json.loads(said)}
    assert code == 0
    assert list(rows) == list(weights.CATALOGUE)
    assert rows["sface"]["path"] is None
    assert rows["sface"]["size"] == 38_696_353
    assert rows["sface"]["used_by"] == "onnx(sface)"
    assert Path(rows["dlib_resnet"]["path"]).is_file()


def test_info_says_everything(invoke: Invoke) -> None:
    entry = weights.CATALOGUE["sface"]
    code, said, _ = invoke("weights", "info", "sface")
    assert code == 0
    for fact in (entry.licence, entry.citation, entry.sha256, entry.file, *map(str, entry.sources)):
        assert fact in said
    assert json.loads(invoke("weights", "info", "sface", "--json")[1])["citation"] == entry.citation


def test_fetch_tells_licence_and_place(invoke: Invoke, shop: Shop, folder: Path) -> None:
    code, said, progress = invoke("weights", "fetch", "edgeface_s")
    entry = weights.CATALOGUE["edgeface_s"]
    assert code == 0
    assert str(folder / entry.file) in said
    assert entry.restriction in progress
    assert "from the shop" in progress
    assert (folder / entry.file).read_bytes() == b"network"


def test_nothing_is_fetched_where_one_name_is_wrong(invoke: Invoke, shop: Shop, folder: Path) -> None:
    code, _, errors = invoke("weights", "fetch", "edgeface_s", "edgeface")
    assert code == 2
    assert "did you mean edgeface_s" in errors
    assert not folder.exists()


def test_a_failed_fetch_is_one_sentence(invoke: Invoke, shop: Shop) -> None:
    shop.error = WeightsError("it is closed")
    code, said, errors = invoke("weights", "fetch", "edgeface_s")
    assert code == 2
    assert "sha256" not in said
    assert "fsbench: edgeface_s could not be fetched: it is closed" in errors
    assert "Traceback" not in errors


def test_sizes_and_licences_come_first(invoke: Invoke, shop: Shop, folder: Path) -> None:
    code, said, _ = invoke("weights", "fetch", "edgeface_s", "facenet_casia", "dlib_resnet", "--dry-run")
    entry = weights.CATALOGUE["edgeface_s"]
    assert code == 0
    assert "1 of 3 here already" in said
    assert entry.licence in said
    assert "to fetch: 0.0 MB, and 1 of a size that nobody published" in said
    assert not folder.exists()


def test_a_group_is_fetched_but_for_what_no_source_gives(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    for number, name in enumerate(weights.members("standard")):
        closed = Shop(name.encode())
        closed.error = WeightsError(f"shop {number} is closed", "come back") if number < 2 else None
        own = hashlib.sha256(closed.content).hexdigest()
        entry = replace(weights.CATALOGUE[name], sha256=own, size=len(name), sources=(closed,))
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
    code, said, errors = invoke("weights", "fetch", "standard")
    there = {entry.name for entry in weights.CATALOGUE.values() if (folder / entry.file).exists()}
    assert code == 2
    assert there == set(weights.members("standard")[2:])
    assert all(f"{name}: {folder}" in said for name in there)
    assert "shop 0 is closed" in errors
    assert "shop 1 is closed" in errors
    assert errors.count("come back") == 1


def test_a_group_with_a_slip(invoke: Invoke, folder: Path) -> None:
    code, _, errors = invoke("weights", "fetch", "standrd")
    assert code == 2
    assert "did you mean standard" in errors


def test_ctrl_c_says_how_to_go_on(invoke: Invoke, shop: Shop) -> None:
    shop.error = KeyboardInterrupt()
    code, _, errors = invoke("weights", "fetch", "edgeface_s")
    assert code == 130
    assert "go on with: fsbench weights fetch edgeface_s" in errors


def test_import_and_verify(invoke: Invoke, shop: Shop, mine: Path, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"network")
    assert invoke("weights", "import", tmp_path / "mine.onnx")[0] == 0
    assert invoke("weights", "import", mine, "--as", "vggface2_senet50_ft")[0] == 0
    code, said, _ = invoke("weights", "verify")
    states = {line.split()[0]: line.split()[1] for line in said.splitlines()}
    assert code == 0
    assert states == {
        "dlib_resnet": "intact",
        "dlib_landmarks5": "intact",
        "edgeface_s": "intact",
        "vggface2_senet50_ft": "pinned",
    }
    (folder / weights.CATALOGUE["vggface2_senet50_ft"].file).write_bytes(b"pickle with more in it")
    code, said, _ = invoke("weights", "verify", "edgeface_s", "vggface2_senet50_ft")
    assert code == 2
    assert [line.split()[:2] for line in said.splitlines() if not line.startswith(" ")] == [
        ["edgeface_s", "intact"],
        ["vggface2_senet50_ft", "damaged"],
    ]


def test_verify_misses_what_was_named(invoke: Invoke) -> None:
    code, said, _ = invoke("weights", "verify", "sface")
    assert code == 2
    assert said.split()[:2] == ["sface", "missing"]
    assert "fsbench weights fetch sface" in said


@pytest.mark.parametrize("command", ["info", "fetch", "verify"])
def test_a_wrong_name(command: str, invoke: Invoke) -> None:
    code, _, errors = invoke("weights", command, "sfaces")
    assert code == 2
    assert "did you mean sface" in errors


def test_a_cache_that_cannot_be_written(invoke: Invoke, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    for arguments in (["import", mine, "--as", "vggface2_senet50_ft"], ["fetch", "edgeface_s"]):
        code, _, errors = invoke("weights", *arguments)
        assert code == 2
        assert "cannot write" in errors
