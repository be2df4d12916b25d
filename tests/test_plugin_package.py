"""A third party adds a plug-in of each kind: without touching fsbench, and harming nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "plugin_package"
MAIN = [sys.executable, "-m", "fsbench"]


RIVAL = """
from dataclasses import replace
import fsbench_example as example
from fsbench import registry

class Taken(example.Brightness): "A metric by the name of a built-in one."
class AlsoTaken(example.Mix): "A model by the name of another package."
class Shouted(example.Mix): "Its name is not snake_case."
class Twice(example.Mix): "Its name is given away."
class Last(example.Brightness): "Comes after all of these."

registry.metrics.register("id_similarity")(Taken)
registry.swappers.register("mix")(AlsoTaken)
registry.swappers.register("Mix It")(Shouted)
registry.swappers.register("mix")(Twice)
registry.metrics.register("last")(Last)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as an installer lays it out, one that cannot be imported, and one that takes names of others."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "fsbench_example.py").write_text((PACKAGE / "fsbench_example.py").read_text())
    (folder / "fsbench_a_rival.py").write_text(RIVAL)
    (folder / "fsbench_broken.py").write_text("raise RuntimeError('no licence key')")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    for name, points in (
        (project["name"], project["entry-points"]["fsbench.plugins"]),
        ("broken", {"broken": "fsbench_broken"}),
        ("rival", {"rival": "fsbench_a_rival"}),
    ):
        info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "\n".join(f"{key} = {value}" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[fsbench.plugins]\n{lines}\n")
    return folder


def fsbench(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [*MAIN, *arguments], capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def test_its_plugins_are_listed_and_a_broken_package_harms_nobody(site: Path) -> None:
    listed = json.loads(fsbench(site, "list", "models", "--json").stdout)
    said = {row["name"]: row["description"] for row in listed}
    assert said["mix"].startswith("Cross-fades")
    assert said["darken"].startswith("refiner: Halves")
    assert said["mirrored"].startswith("wrapper: Shows")
    assert "no licence key" in said["fsbench_broken"]
    assert "copy_target" in said
    assert said["fsbench_a_rival/mix"].endswith("(mix alone means fsbench_example/mix)")
    refused = [row["description"] for row in listed if row["description"].startswith("REFUSED")]
    assert refused == [
        "REFUSED: model name 'Mix It' is not snake_case: fsbench_a_rival.Shouted is left out",
        "REFUSED: model 'mix' is registered by fsbench_a_rival.AlsoTaken already: fsbench_a_rival.Twice is left out",
    ]


def test_its_plugins_run(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fsbench(
        site,
        "run",
        "--models",
        "mix,mix(amount=1)+darken,fsbench_a_rival/mix(amount=1)+fsbench_example/darken,mix+mirrored,"
        "mix(amount=1)+darken+mirrored+darken",
        "--dataset",
        "fsbench_example/blobs",
        "--metrics",
        "brightness,light_change,fsbench/id_similarity,fsbench_a_rival/id_similarity,last",
        "--judges",
        "fsbench/dlib_resnet",
        "--out",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    values = {(v["model"], v["metric"]): v for v in json.loads(fsbench(site, "show", str(out), "--json").stdout)}
    rival = "fsbench_a_rival/mix(amount=1)+fsbench_example/darken"
    bright = {model: values[model, "brightness"]["value"] for model in {model for model, _ in values}}
    assert bright[rival] == bright["mix(amount=1)+darken"] == pytest.approx(bright["copy_source"] / 2, abs=0.01)
    assert bright["mix(amount=1)+darken+mirrored+darken"] == pytest.approx(bright["copy_source"] / 4, abs=0.01)
    assert bright["mix+mirrored"] == pytest.approx(bright["mix"], abs=0.01)
    change = {model: values[model, "light_change"]["value"] for model in bright}
    assert change["copy_target"] == 0
    assert change["mix(amount=1)+darken"] > 0.05
    lost = values["mix", "id_similarity"]
    assert (lost["value"], lost["n_scored"], lost["n_total"]) == (None, 0, 8), "the made-up images have no faces"
    assert all(values[model, "fsbench_a_rival/id_similarity"]["value"] == value for model, value in bright.items())
    assert values["mix", "last"]["value"] == bright["mix"]
    result = json.loads((out / "result.json").read_text())
    assert [judge["name"] for judge in result["judges"]] == ["dlib_resnet"], "a built-in plug-in has its bare name"
    assert (out / "report.html").exists()


TINY = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"


def test_its_metric_of_clips_stands_in_the_report_and_on_the_page_of_validity(site: Path, tmp_path: Path) -> None:
    out, examined = tmp_path / "out", tmp_path / "validation"
    common = ("--metrics", "light_flicker,jitter", "--dataset", TINY, "--judges", "dlib_resnet")
    done = fsbench(site, "run", "--models", "mix", *common, "--out", str(out))
    assert done.returncode == 0, done.stderr
    values = {(v["model"], v["metric"]): v for v in json.loads(fsbench(site, "show", str(out), "--json").stdout)}
    value = values["mix", "light_flicker"]
    assert (value["set"], value["n_scored"], value["n_total"]) == ("clips", 4, 4)
    assert values["copy_target", "light_flicker"]["value"] == 0
    assert value["value"] > 0
    page = (out / "report.html").read_text()
    assert 'id="temporal"' in page
    assert 'id="clips"' in page
    assert "Mean change of brightness from frame to frame that the target does not have" in page
    assert "target: frames 1, 2, 3, 4 of 4" in page
    assert "light_flicker over the frames of p000 into p001" in page
    done = fsbench(site, "validate", *common, "--faults", "jitter,noise", "--budget", "smoke", "--out", str(examined))
    assert done.returncode == 0, done.stderr
    record = json.loads((examined / "validation.json").read_text())
    assert {metric["metric"]["name"] for metric in record["metrics"]} == {"light_flicker", "jitter"}
    verdicts = {(entry["metric"], entry["fault"]): entry["verdict"] for entry in record["responses"]}
    assert "unexamined" not in verdicts.values()
    assert verdicts["jitter", "noise"] == "ignores"
    assert "light_flicker" in (examined / "validation.html").read_text()


def test_what_is_typed_wrong_names_the_packages(site: Path, tmp_path: Path) -> None:
    done = fsbench(site, "run", "--models", "fsbench_b/mix", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "unknown model 'fsbench_b/mix'" in told
    assert "fsbench_example/mix" in told
    assert "fsbench_a_rival/mix" in told


def test_its_plugins_keep_their_contracts(site: Path) -> None:
    code = (
        "from fsbench import contracts; import fsbench_example as e; contracts.check_swapper(e.Mix());"
        "contracts.check_refiner(e.Darken()); contracts.check_wrapper(e.Mirrored());"
        "contracts.check_metric(e.Brightness());contracts.check_dataset(e.Blobs(context=None))"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, check=True, timeout=300)
