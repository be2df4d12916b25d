"""The wheel has everything that fsbench needs: it is built, installed on its own, and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import __version__

ROOT = Path(__file__).parents[1]
PACKAGES = ("fsbench", "reference_models")
SMALL = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"

Installed = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without the network."""
    uv, folder = os.environ.get("UV", "uv"), tmp_path_factory.mktemp("wheel")
    try:
        done = subprocess.run([uv, "build", "--wheel", "--offline", "--out-dir", folder, ROOT], capture_output=True,
                              text=True, check=False)  # fmt: skip
    except FileNotFoundError:
        pytest.skip("needs uv, which builds the wheel")
    if "hatchling was not found in the cache" in done.stderr:
        pytest.skip("needs hatchling in uv's cache, which uv sync puts there")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What a program prints in an environment that has the wheel, and from this one all other packages.

    Packages that are installed for editing, as fsbench is here, are left behind: their .pth files are not read.
    """
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder)
    place = {"base": str(folder), "platbase": str(folder)}
    scripts, packages = (Path(sysconfig.get_path(name, "venv", place)) for name in ("scripts", "purelib"))
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", wheel], check=True)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))

    def call(program: str, *arguments: str | Path) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run([scripts / program, *arguments], capture_output=True, text=True, check=False, cwd=folder,
                              env=environment | {"COLUMNS": "120"})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import json, fsbench, reference_models as models; print(json.dumps([fsbench.__file__, models.__file__]))"
    for file in json.loads(call("python", "-c", code)):
        assert Path(file).is_relative_to(packages), "the wheel is what is imported"
    return call


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(PACKAGES)}
    here = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in packed if ".dist-info/" not in name} == here
    assert {Path(name).suffix for name in here} >= {".j2", ".css", ".js", ".npz", ".json", ".txt"}
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in packed}


def test_the_console_script_answers(installed: Installed) -> None:
    assert installed("fsbench", "--version") == f"fsbench {__version__}\n"


def test_plugins_of_both_packages_are_listed(installed: Installed) -> None:
    models = {row["name"]: row["package"] for row in json.loads(installed("fsbench", "list", "models", "--json"))}
    assert set(models.values()) == {"reference_models"}
    assert {"gan_mask", "cyclegan", "copy_target"} <= set(models)


def test_a_run_leaves_a_report(installed: Installed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    installed("fsbench", "run", "--models", "gan_mask", "--budget", "2", "--metrics", "gt_psnr,id_similarity",
              "--no-baselines", "--dataset", SMALL, "--out", out, "--device", "cpu")  # fmt: skip
    result = json.loads((out / "result.json").read_text())
    assert [model["name"] for model in result["models"]] == ["gan_mask"]
    assert [value["n_total"] for value in result["values"] if value["metric"] == "gt_psnr"] > [0]
    page = (out / "report.html").read_text()
    assert "gan_mask" in page
    assert "<style" in page
