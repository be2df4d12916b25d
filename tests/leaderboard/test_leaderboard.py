"""Runs of a folder side by side: what is comparable stands together, and what is not is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fsbench import results
from fsbench.errors import MissingData, UnknownName
from fsbench.leaderboard import Board, collect
from fsbench.report import leaderboard as pages
from fsbench.results import Key

OLD = Path(__file__).parents[1] / "old_results/schema_3.json"
Invoke = Callable[..., tuple[int, str, str]]
KEY = Key("id_similarity", "dlib_resnet")
HOSTILE = '<script>alert(1)</script>"&\n人' + "n" * 400


def write(
    folder: Path, day: int = 1, shift: float = 0.0, models: Mapping[str, str] | None = None, **changes: Any
) -> None:
    """A run of that day, whose `id_similarity` is shifted; `models` renames some, which then compete.

    `changes` are of its record, with __ between the names of fields.
    """
    content = json.loads(results.load(OLD).model_dump_json(by_alias=True))
    content["created"] = f"2026-11-{day:02d}T10:00:00+00:00"
    content["environment"]["git"] = f"{day:040x}"
    names = models or {"alpha_paste": "mine"}
    for model in content["models"]:
        if model["name"] in names:
            model |= {"name": names[model["name"]], "spec": names[model["name"]], "kind": "ready"}
    for value in content["values"]:
        value["model"] = names.get(value["model"], value["model"])
        if value["metric"] == "id_similarity" and value["value"] is not None:
            for end in ("value", "low", "high"):
                value[end] = value[end] + shift if value[end] is not None else None
    for path, new in changes.items():
        *way, last = path.split("__")
        place = content
        for name in way:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[last] = new
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


def only(folder: Path) -> Board:
    (board,) = collect(folder).boards
    return board


def test_each_model_is_shown_as_its_newest_run_measured_it(tmp_path: Path) -> None:
    write(tmp_path / "nightly/1", day=1, shift=-0.2)
    write(tmp_path / "nightly/3", day=3, shift=-0.1)
    write(tmp_path / "other", day=2, models={"alpha_paste": "theirs"}, shift=-0.05)
    board = only(tmp_path)
    contestants = [entry for entry in board.entries(KEY) if entry.model.kind == "ready"]
    assert [(entry.model.name, entry.run.path, entry.n_older) for entry in contestants] == [
        ("theirs", "other", 0), ("mine", "nightly/3", 1),
    ]  # fmt: skip
    baselines = [entry for entry in board.entries(KEY) if entry.model.kind == "baseline"]
    assert {entry.run.path for entry in baselines} == {"nightly/3"}
    assert board.keys[0].metric == board.newest.ranking.metric or not board.newest.ranking.metric
    (line,) = board.history(KEY).values()
    assert [run.path for run, _ in line] == ["nightly/1", "nightly/3"]
    assert [run.commit for run, _ in line] == ["0000000000", "0000000000"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"judges__0__version": 9}, "version of judge dlib_resnet"),
        ({"judges__0__weights": {"dlib_resnet": "0" * 64}}, "weights of judge dlib_resnet"),
        ({"dataset__content": {"test": "1" * 64, "gallery": "2" * 64}}, "real images (test)"),
        ({"protocol__detector": "another"}, "detector"),
    ],
)
def test_what_was_measured_otherwise_places_nobody(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    write(tmp_path / "new", day=2)
    write(tmp_path / "old", day=1, models={"alpha_paste": "theirs"}, shift=0.5, **change)
    write(tmp_path / "older", day=1, shift=0.5, **change)
    board = only(tmp_path)
    ranked = [entry for entry in board.entries(KEY) if entry.model.kind == "ready"]
    assert [entry.model.name for entry in ranked] == ["mine", "theirs"]
    assert what in board.otherwise(ranked[1].run, KEY)
    assert board.otherwise(ranked[0].run, KEY) == ""
    assert board.history(KEY) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset__name": "other"},
        {"dataset__revision": "other"},
        {"dataset__size": 256},
        {"protocol__outputs": "files of another tool"},
    ],
)
def test_other_data_makes_another_board(change: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "new", day=2)
    write(tmp_path / "old", day=1, **change)
    boards = collect(tmp_path).boards
    assert [board.runs[0].path for board in boards] == ["new", "old"]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "good")
    write(tmp_path / "newer", schema=99)
    write(tmp_path / "wrong", values="none")
    for name, text in {"broken": "{", "list": "[]", "empty": ""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    boards = collect(tmp_path)
    assert [run.path for board in boards.boards for run in board.runs] == ["good"]
    assert set(boards.unread) == {"newer", "wrong", "broken", "list", "empty"}
    assert "newer fsbench" in boards.unread["newer"]


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no finished run"):
        collect(tmp_path)
    with pytest.raises(MissingData, match="is no folder"):
        collect(tmp_path / "absent")
    write(tmp_path / "run")
    with pytest.raises(UnknownName, match="unknown data set"):
        collect(tmp_path, "synthetics")


@pytest.mark.parametrize("by", ["run", "commit"])
def test_the_page_shows_names_as_text(by: Any, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        write(tmp_path / f"run{day}", day=day, shift=day / 100, models={"alpha_paste": HOSTILE, "copy_source": "x"})
    write(tmp_path / "otherwise", day=1, judges__0__version=9)
    path = pages.write(collect(tmp_path), tmp_path / "page.html", ["id_similarity"], by)
    html = path.read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert html.count("<svg") == (2 if by == "commit" else 0)
    assert ("In no figure, measured otherwise" in html) == (by == "commit")
    assert "http://" not in html.replace("http://www.w3.org", "")
    again = pages.write(collect(tmp_path), tmp_path / "again.html", ["id_similarity"], by)
    assert again.read_bytes() == path.read_bytes()


def test_the_command(tmp_path: Path, invoke: Invoke) -> None:
    write(tmp_path / "runs/a", day=1)
    write(tmp_path / "runs/b", day=2, models={"alpha_paste": "theirs"}, judges__0__version=9)
    write(tmp_path / "runs/c", schema=99)
    code, said, errors = invoke("leaderboard", tmp_path / "runs", "--metrics", "id_similarity,gt_psnr")
    assert code == 0
    assert "left out: c" in errors
    row = next(line for line in said.splitlines() if line.startswith("mine"))
    assert "otherwise" in row
    code, said, _ = invoke("leaderboard", tmp_path / "runs", "--metrics", "id_similarity", "--json")
    facts = {row["model"]: row for row in json.loads(said)}
    assert code == 0
    assert facts["theirs"]["otherwise"] == ""
    assert "version of judge" in facts["mine"]["otherwise"]
    code, said, _ = invoke("leaderboard", tmp_path / "runs", "--by", "commit", "--out", tmp_path / "page.html")
    assert (code, (tmp_path / "page.html").is_file()) == (0, True)
    assert str(tmp_path / "page.html") in said.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "commit"), "add --out"),
        (("--metrics", "kids"), "has a value of kids"),
        (("--dataset", "synthetics"), "did you mean synthetic"),
        (("--by", "date"), "date"),
    ],
)
def test_what_cannot_be_shown_is_told(words: tuple[str, ...], said: str, tmp_path: Path, invoke: Invoke) -> None:
    write(tmp_path / "run")
    code, _, errors = invoke("leaderboard", tmp_path, *words)
    assert code == 2
    assert said in " ".join(errors.split())
