"""The commands `score` and `calibrate` on painted people; their process is this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fsbench.cli import app
from fsbench.errors import DataError, FsbenchError, UnknownName, UsageError
from fsbench.results import load

Photograph = Callable[..., None]


def call(*arguments: str | Path) -> Result:
    """Run a command; an error is raised as it is."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def folders(tmp_path: Path, photograph: Photograph) -> Path:
    for k, name in enumerate(("ann", "bob", "eve")):
        for i in range(4):
            photograph(tmp_path / "people" / name / f"s{i // 2}" / f"{i}.png", name, 10 * k + i)
    for i in range(3):
        photograph(tmp_path / "targets" / f"{i}.png", "eve", 100 + i)
        photograph(tmp_path / "swap" / f"ann_{i}.png", "ann", 200 + i)
    return tmp_path


def score(folders: Path, *more: str | Path) -> Result:
    return call("score", "--target", folders / "targets", "--source", folders / "people", "--judges", "colour",
                "--metrics", "id_similarity", "--out", folders / "out", *more)


def test_score_writes_a_report_and_says_where(folders: Path) -> None:
    done = score(folders, "--outputs", f"mine={folders / 'swap'}", "--seed", "7", "--size", "64")
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith("report: " + str(folders / "out" / "report.html"))
    assert "similarity" in done.stdout  # its heading is broken over lines
    result = load(folders / "out")
    assert [model.name for model in result.models] == ["copy_target", "copy_source", "mine"]
    assert (result.seed, result.dataset.size) == (7, 64)
    assert "mine" in (folders / "out" / "report.html").read_text()


@pytest.mark.parametrize("coach", ["mine=colour", "colour"])
def test_a_coach_is_named(folders: Path, coach: str) -> None:
    assert score(folders, "--outputs", f"mine={folders / 'swap'}", "--coach", coach, "-q").exit_code == 0
    assert load(folders / "out").models[-1].coaches == ("colour",)


@pytest.mark.parametrize("coach", ["colour", "=colour", "mine="])
def test_a_coach_says_whose_it_is(folders: Path, coach: str) -> None:
    with pytest.raises(UsageError, match="which family which model") as caught:
        score(folders, "--outputs", f"mine={folders / 'swap'}", "--outputs", folders / "swap", "--coach", coach)
    assert "--coach mine=FAMILY" in caught.value.hint


def test_a_folder_names_its_model(folders: Path) -> None:
    (folders / "a=b").mkdir()
    (folders / "swap").rename(folders / "a=b" / "swap")
    assert score(folders, "--outputs", folders / "a=b" / "swap", "--quiet").exit_code == 0
    assert load(folders / "out").models[-1].name == "swap"


def test_a_finished_score_is_kept_unless_it_is_resumed(folders: Path) -> None:
    again = ("--outputs", folders / "swap", "--quiet")
    assert score(folders, *again).exit_code == 0
    with pytest.raises(FsbenchError, match="finished run") as caught:
        score(folders, *again)
    assert "--resume" in caught.value.hint
    assert score(folders, *again, "--resume").exit_code == 0
    with pytest.raises(UsageError, match="--resume needs --out"):
        call("score", "--outputs", folders / "swap", "--target", folders, "--source", folders, "--resume")


def test_score_raises_what_a_user_can_put_right(folders: Path, photograph: Photograph) -> None:
    photograph(folders / "odd" / "2.png", "ann", 1)
    with pytest.raises(DataError, match=r"2.png: its name does not say") as caught:
        score(folders, "--outputs", folders / "odd")
    assert "--pairs" in caught.value.hint
    with pytest.raises(UnknownName, match="unknown metric"):
        score(folders, "--outputs", folders / "swap", "--metrics", "id_similarty")


def test_a_pattern_and_a_column_name_many_models(folders: Path, photograph: Photograph) -> None:
    lines = ["tool;File;person;original"]
    for tool in ("a", "b"):
        for i in range(3):
            photograph(folders / "tools" / tool / f"r{i}.png", "ann", 300 + i)
            lines.append(f"{tool};r{i}.png;ann;{i}.png")
    (folders / "tools" / "b" / "r1.png").unlink()
    (folders / "pairs.csv").write_text("\n".join(lines))
    done = score(folders, "--outputs", folders / "tools" / "*", "--pairs", folders / "pairs.csv", "--columns",
                 "output=file,source=person,target=original,model=tool", "-q")
    assert done.exit_code == 0, done.output
    assert {model.name: model.failures for model in load(folders / "out").models[2:]} == {"a": {}, "b": {"missing": 1}}
    for wrong in (("--missing", "maybe"), ("--columns", "output=x"), ("--outputs", "nowhere/*")):
        with pytest.raises(UsageError):
            score(folders, "--outputs", folders / "swap", *wrong)


def test_calibrate_tells_people_apart(folders: Path) -> None:
    done = call("calibrate", folders / "people", "--judges", "colour", "--out", folders / "told")
    assert done.exit_code == 0, done.output
    assert "genuine pairs" in done.stdout
    assert "0.00% at" in done.stdout                     # nobody is confused
    assert done.stdout.rstrip().endswith("report: " + str(folders / "told" / "calibration.html"))
    page = (folders / "told" / "calibration.html").read_text()
    assert page.count("<svg") == 2
    assert "mathdefault" not in page
    assert "0.001 %" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    said = json.loads((folders / "told" / "calibration.json").read_text())
    (judge,) = said["judges"]
    found = judge["calibration"]
    # pairs of two sessions: 4 a person; of two people: 3 pairs of people with 4 x 4 images
    assert (found["n_identities"], found["n_images"], found["n_genuine"], found["n_impostor"]) == (3, 12, 12, 48)
    assert [point["far"] for point in found["points"]] == [0.01, 0.001]
    assert any("impostor pairs are worth 3 pairs of people" in warning for warning in said["warnings"])


def test_calibrate_prints_the_file_where_it_is_asked_to(folders: Path) -> None:
    said = json.loads(call("calibrate", folders / "people", "-j", "colour", "--json", "--quiet").stdout)
    assert said["schema"] == 1
    assert said["dataset"]["description"] == "people of people"


def test_calibrate_takes_a_data_set(folders: Path, photograph: Photograph) -> None:
    for name in ("ann", "bob"):
        for i in range(12):
            photograph(folders / "more" / name / f"s{i // 3}" / f"{i}.png", name, i)
    said = json.loads(call("calibrate", f"folder(size=64):{folders / 'more'}", "-j", "colour", "--json", "-q").stdout)
    assert said["dataset"]["name"] == "folder"
    assert said["judges"][0]["calibration"]["n_images"] == 12  # the test split: two sessions of three, of two people


def test_people_that_give_no_pair_are_an_error(folders: Path) -> None:
    with pytest.raises(DataError, match="no pair of one person in two sessions") as caught:
        call("calibrate", folders / "targets", "-j", "colour")
    assert "two people or more" in caught.value.hint
