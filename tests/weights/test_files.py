from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import weights
from fsbench.errors import WeightsError
from fsbench.weights.files import pin_path
from fsbench.weights.formats import STARTS

Adapt = Callable[..., weights.Weights]
UNHASHED, HASHED = "facenet_casia", "sface"
FIRST = b"PK\x03\x04first"


@pytest.mark.parametrize("name", ["dlib_resnet", "dlib_landmarks5"])
def test_files_come_with_the_package(name: str, tmp_path: Path) -> None:
    path = weights.find(name, tmp_path).path
    assert path.stat().st_size == weights.CATALOGUE[name].size


def test_a_file_put_into_the_folder_wins(tmp_path: Path) -> None:
    entry = weights.CATALOGUE["dlib_landmarks5"]
    (tmp_path / entry.file).write_bytes(weights.find("dlib_landmarks5", tmp_path / "nowhere").path.read_bytes())
    assert weights.find("dlib_landmarks5", tmp_path).path == tmp_path / entry.file


def test_a_file_with_the_published_hash_is_found(adapt: Adapt, tmp_path: Path) -> None:
    entry = adapt("edgeface_s", b"network")
    (tmp_path / entry.file).write_bytes(b"network")
    assert weights.find("edgeface_s", tmp_path) == weights.own(tmp_path / entry.file)
    assert weights.find("edgeface_s", tmp_path).sha256 == hashlib.sha256(b"network").hexdigest()
    assert weights.find("edgeface_s", tmp_path).note == entry.restriction != ""


@pytest.mark.parametrize("content", [b"networ", b"networkk", b"natwork"], ids=["truncated", "longer", "other"])
def test_a_damaged_file_is_refused(content: bytes, adapt: Adapt, tmp_path: Path) -> None:
    entry = adapt(HASHED, b"network")
    (tmp_path / entry.file).write_bytes(content)
    with pytest.raises(WeightsError, match="damaged") as caught:
        weights.find(HASHED, tmp_path)
    assert caught.value.hint == f"fsbench weights fetch {HASHED}"


def test_damage_is_noticed_within_one_process(adapt: Adapt, tmp_path: Path) -> None:
    entry = adapt(HASHED, b"network")
    (tmp_path / entry.file).write_bytes(b"network")
    weights.find(HASHED, tmp_path)
    (tmp_path / entry.file).write_bytes(b"netwurk")
    with pytest.raises(WeightsError, match="damaged"):
        weights.find(HASHED, tmp_path)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (HASHED, f"fsbench weights fetch {HASHED}"),
        ("mobilefacenet", "fsbench weights import PATH --as mobilefacenet"),
        ("vggface2_senet50_ft", "fsbench weights import PATH --as vggface2_senet50_ft"),
    ],
)
def test_a_missing_file_is_answered_with_the_command(name: str, command: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not installed") as caught:
        weights.find(name, tmp_path)
    assert caught.value.hint == command


def test_a_missing_package_is_answered_with_the_command(adapt: Adapt, tmp_path: Path) -> None:
    adapt("dlib_resnet", package=weights.PackageFile("some-carrier", "no_such_module_anywhere", "models/x.dat"))
    with pytest.raises(WeightsError, match="not installed") as caught:
        weights.find("dlib_resnet", tmp_path)
    assert caught.value.hint == "fsbench weights fetch dlib_resnet"


def test_a_file_without_a_published_hash_is_pinned_at_first_use(tmp_path: Path) -> None:
    path = tmp_path / weights.CATALOGUE[UNHASHED].file
    path.write_bytes(FIRST)
    found = weights.find(UNHASHED, tmp_path)
    pin = json.loads(pin_path(path).read_text())
    assert pin["sha256"] == found.sha256 == hashlib.sha256(FIRST).hexdigest()
    assert pin["size"] == len(FIRST)
    assert f"pinned at first use, on {pin['date']}" in found.note
    assert weights.CATALOGUE[UNHASHED].restriction in found.note
    assert weights.find(UNHASHED, tmp_path) == found
    path.write_bytes(FIRST[::-1])
    with pytest.raises(WeightsError, match=f"pinned as {UNHASHED} on {pin['date']}") as caught:
        weights.find(UNHASHED, tmp_path)
    assert str(pin_path(path)) in caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"sha256": "x"}', "\udcff"])
def test_a_damaged_pin_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / weights.CATALOGUE[UNHASHED].file
    path.write_bytes(FIRST)
    pin_path(path).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.find(UNHASHED, tmp_path)


def test_the_first_file_that_is_present_serves(tmp_path: Path) -> None:
    names = ["vggface2_senet50_keras", "vggface2_senet50_ft", "vggface2_senet50_scratch"]
    for name in names[1:]:
        (tmp_path / weights.CATALOGUE[name].file).write_bytes(b"\x80\x02" + name.encode())
    assert weights.find_first(names, tmp_path).name == names[1]


def test_where_no_file_is_present_all_are_named_in_one_line(tmp_path: Path) -> None:
    names = ["vggface2_senet50_keras", "vggface2_senet50_ft"]
    with pytest.raises(WeightsError) as caught:
        weights.find_first(names, tmp_path)
    assert caught.value.message == "none of the weights vggface2_senet50_keras, vggface2_senet50_ft is installed"
    assert caught.value.hint == (
        "fsbench weights fetch vggface2_senet50_keras, or fsbench weights import PATH --as vggface2_senet50_ft"
    )


def test_all_missing_files_of_a_network_are_named_with_one_command(tmp_path: Path) -> None:
    names = ["sface", "lpips_alex", "vggface2_senet50_ft", "vgg19_normalised"]
    with pytest.raises(WeightsError) as caught:
        weights.find_all(names, tmp_path)
    assert caught.value.message == f"the weights {', '.join(names)} are not installed"
    assert caught.value.hint == (
        "fsbench weights fetch sface lpips_alex vgg19_normalised; fsbench weights import PATH --as vggface2_senet50_ft"
    )
    with pytest.raises(WeightsError, match=r"sface .* are not installed") as caught:
        weights.find_all(names[:1], tmp_path)
    assert caught.value.hint == "fsbench weights fetch sface"


def test_all_files_of_a_network_are_found_in_their_order(adapt: Adapt, tmp_path: Path) -> None:
    for name in ("lpips_alex", "sface"):
        entry = adapt(name, name.encode())
        (tmp_path / entry.file).write_bytes(name.encode())
    assert [file.name for file in weights.find_all(["sface", "lpips_alex"], tmp_path)] == ["sface", "lpips_alex"]
    adapt("sface", b"other")
    with pytest.raises(WeightsError, match="damaged"):
        weights.find_all(["sface", "lpips_alex"], tmp_path)


def test_the_users_own_file_is_hashed_and_its_licence_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"mine")
    found = weights.own(path)
    assert (found.name, found.sha256) == ("mine.onnx", hashlib.sha256(b"mine").hexdigest())
    assert found.licence == "not known"
    with pytest.raises(WeightsError, match="no file"):
        weights.own(tmp_path)


def test_the_users_own_copy_of_a_known_file_is_recognised(adapt: Adapt, tmp_path: Path) -> None:
    entry = adapt("edgeface_s", b"known")
    (tmp_path / "mine.onnx").write_bytes(b"known")
    found = weights.own(tmp_path / "mine.onnx")
    assert (found.name, found.licence, found.note) == ("edgeface_s", entry.licence, entry.restriction)


def test_what_stands_in_for_an_entry_may_be_under_its_licence(adapt: Adapt, tmp_path: Path) -> None:
    """Nobody published the hash of the authors' file, so that a copy of it cannot be told from another."""
    entry, path = weights.CATALOGUE[UNHASHED], tmp_path / "mine.pt"
    path.write_bytes(FIRST)
    found = weights.own(path, like=UNHASHED)
    assert found.name == "mine.pt"
    assert found.licence == f"{entry.licence}, if it is the authors' file"
    assert entry.restriction in found.note
    assert f"if it is the authors' file of {UNHASHED}" in found.note
    known = adapt("edgeface_s", FIRST)
    assert (weights.own(path, like=UNHASHED).name, weights.own(path).licence) == (known.name, known.licence)


def test_a_pinned_file_that_is_of_no_use_is_to_be_removed_with_its_pin(tmp_path: Path) -> None:
    path = tmp_path / weights.CATALOGUE[UNHASHED].file
    path.write_bytes(FIRST)
    assert weights.useless(path) == "`fsbench weights list` names the files that fit"
    weights.find(UNHASHED, tmp_path)
    assert weights.useless(path) == f"remove {path} and {pin_path(path)}, then fsbench weights fetch {UNHASHED}"


def test_the_start_is_known_of_every_kind_of_file_without_a_published_hash() -> None:
    assert set(STARTS) == {Path(entry.file).suffix for entry in weights.CATALOGUE.values() if not entry.sha256}
