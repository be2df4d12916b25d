"""`fsbench score` by several processes: typed as a user types it, also with relative folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench.claims import FOLDER
from fsbench.environment import cache_root
from tests.executors.test_same_result import assert_same

Invoke = Callable[..., tuple[int, str, str]]
DATA = "synthetic(people=2,gallery=0,sessions=3,images=12,clips=0,size=64)"
OF_ALL = ("--judges", "dlib_resnet", "--metrics", "id_similarity,pose_error_five", "--device", "cpu", "--quiet")


@pytest.fixture
def made(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set as files, and outputs of a tool that gives its targets back, the first one missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    code, _, error = invoke("data", "export", DATA, "crops")
    assert code == 0, error
    pairs = [line.split(",") for line in Path("crops/pairs.csv").read_text().splitlines()[1:]]
    for output, _, target, _ in pairs[1:]:
        place = Path("mine", output)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path("crops", target), place)
    return tmp_path


@pytest.mark.parametrize(
    "typed",
    [("--dataset", DATA), ("--target", "crops/targets", "--source", "crops/sources")],
    ids=["a data set", "photographs"],
)
def test_two_processes_give_the_result_of_one(
    made: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    drawn = cache_root() / "synthetic"
    for name, more in {"one": (), "two": ("--workers", 2)}.items():
        shutil.copytree(drawn, made / f"cache-{name}" / "synthetic")
        monkeypatch.setenv("FSBENCH_CACHE", str(made / f"cache-{name}"))
        code, _, error = invoke("score", "--outputs", "mine", *typed, *OF_ALL, "--out", name, *more)
        assert code == 0, error
    assert_same(made / "two", made / "one")
    assert (made / "cache-two" / FOLDER).is_dir()
    assert not (made / "cache-one" / FOLDER).exists()
