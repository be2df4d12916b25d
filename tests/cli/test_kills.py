"""Killed at any moment, what goes on ends with the result of what was never disturbed."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Ended, Forked
from kills import KILLS, kills_of

from fsbench.harness.status import status
from fsbench.store import file_sha256

PAINTED = Path(__file__).parents[1] / "scoring"
STILLS = "synthetic(people=2,sessions=6,images=1,gallery=0,clips=0,size=48)"
FACES = "synthetic(people=2,sessions=9,images=2,gallery=0,clips=0,size=48)"
PRELUDE = f"""
import sys
import pytest
sys.path.insert(0, {str(PAINTED)!r})
import conftest
conftest.paint(pytest.MonkeyPatch())
"""
COMMANDS = {
    "run": ["run", "--models", "gan_mask", "--metrics", "id_similarity,gt_psnr", "--dataset", STILLS, "--budget", "4",
            "--no-baselines", "--device", "cpu", "--resume"],
    "score": ["score", "--outputs", "tool=outputs", "--target", "targets", "--source", "people", "--judges", "colour",
              "--metrics", "id_similarity,background", "--size", "64", "--device", "cpu", "--resume"],
    "validate": ["validate", "--metrics", "background", "--faults", "jpeg", "--dataset", FACES, "--budget", "smoke",
                 "--device", "cpu"],
}  # fmt: skip
TIMES = ("created", "seconds", "swap_seconds", "cost", "command", "git")
"""Fields of results that two runs need not share."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """A process beside the photographs of painted people, which tests/scoring knows how to find faces in."""
    folder = tmp_path_factory.mktemp("photographs")
    spec = importlib.util.spec_from_file_location("painted", PAINTED / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    painted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(painted)
    for i in range(3):
        for name in ("ann", "bob"):
            painted.write(folder / "people" / name / f"{i}.png", name, i)
            painted.write(folder / "outputs" / f"{name}_{i}.png", name, 50 + i)
        painted.write(folder / "targets" / "eve" / f"s{i}" / f"{i}.png", "eve", 100 + i)
    with Forked(PRELUDE, folder) as process:
        yield process


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Places and values of a JSON value, without the fields that two runs need not share."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in TIMES:
                yield from leaves(inner, f"{place}/{name}")
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from leaves(inner, f"{place}/{k}")
    else:
        yield place, value


def content(out: Path) -> dict[str, Any]:
    """All that a job left, without times: values in JSON by their place, hashes of other files by their name."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = str(path.relative_to(out))
        found |= leaves(json.loads(path.read_text()), name) if name.endswith(".json") else {name: file_sha256(path)}
    return found


def check_equal(out: Path, expected: dict[str, Any], moment: int) -> None:
    found = content(out)
    differing = {key: (expected.get(key), found.get(key)) for key in expected | found}
    assert not {key: pair for key, pair in differing.items() if pair[0] != pair[1]}, moment


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment_the_result_is_that_of_an_undisturbed_run(
    name: str, forked: Forked, tmp_path: Path
) -> None:
    def attempt(folder: str, kill_at: int = 0) -> Ended:
        (tmp_path / folder).mkdir(exist_ok=True)
        return forked.run(tmp_path / folder, *COMMANDS[name], "--out", tmp_path / folder / "out", kill_at=kill_at)

    whole = attempt("undisturbed")
    assert (whole.killed, whole.code) == (False, 0), whole.errors
    expected = content(tmp_path / "undisturbed" / "out")
    chance, killed = random.Random(f"{name} {KILLS}"), 0
    while killed < kills_of(name):
        moment = chance.randint(1, whole.changes)
        ended = attempt("killed", moment)
        if ended.killed:
            killed += 1
            check_status(tmp_path / "killed" / "out", moment)
        else:  # so little was left to do
            assert ended.code == 0, (moment, ended.errors)
            check_equal(tmp_path / "killed" / "out", expected, moment)
            shutil.rmtree(tmp_path / "killed")
    ended = attempt("killed")
    assert ended.code == 0, ended.errors
    check_equal(tmp_path / "killed" / "out", expected, 0)


def check_status(out: Path, moment: int) -> None:
    """What `fsbench status` says of a job that was killed."""
    if not out.exists() or not any(out.iterdir()):
        return  # it was killed before its first stage
    job = status(out)
    assert job.state in ("killed", "finished"), (moment, job)
    if job.state == "killed":
        assert job.again.startswith("fsbench "), moment
