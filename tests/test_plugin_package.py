"""A third party adds a swapper, a refiner, a wrapper, a metric and a data set without touching fsbench."""

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as an installer lays it out, with a second one that cannot be imported."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "fsbench_example.py").write_text((PACKAGE / "fsbench_example.py").read_text())
    (folder / "fsbench_broken.py").write_text("raise RuntimeError('no licence key')")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    for name, points in (
        (project["name"], project["entry-points"]["fsbench.plugins"]),
        ("broken", {"broken": "fsbench_broken"}),
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


def test_its_plugins_run(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fsbench(
        site,
        "run",
        "--models",
        "mix,mix(amount=1)+darken,mix+mirrored,mix(amount=1)+darken+mirrored+darken",
        "--dataset",
        "blobs",
        "--metrics",
        "brightness,id_similarity",
        "--out",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    values = {(v["model"], v["metric"]): v for v in json.loads(fsbench(site, "show", str(out), "--json").stdout)}
    bright = {model: values[model, "brightness"]["value"] for model in {model for model, _ in values}}
    assert bright["mix(amount=1)+darken"] == pytest.approx(bright["copy_source"] / 2, abs=0.01)
    assert bright["mix(amount=1)+darken+mirrored+darken"] == pytest.approx(bright["copy_source"] / 4, abs=0.01)
    assert bright["mix+mirrored"] == pytest.approx(bright["mix"], abs=0.01)
    lost = values["mix", "id_similarity"]
    assert (lost["value"], lost["n_scored"], lost["n_total"]) == (None, 0, 8), "the made-up images have no faces"
    assert (out / "report.html").exists()


def test_its_plugins_keep_their_contracts(site: Path) -> None:
    code = (
        "from fsbench import contracts; import fsbench_example as e; contracts.check_swapper(e.Mix());"
        "contracts.check_refiner(e.Darken()); contracts.check_wrapper(e.Mirrored());"
        "contracts.check_metric(e.Brightness());contracts.check_dataset(e.Blobs(context=None))"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, check=True, timeout=300)
