"""The commands `score` and `calibrate` on painted people; their process is this one."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fsbench.cli import app
from fsbench.cli.score import score as score_command
from fsbench.errors import DataError, FsbenchError, OutputError, UnknownName, UsageError
from fsbench.results import load
from fsbench.specs import parse_spec

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
    return call(
        "score",
        "--target",
        folders / "targets",
        "--source",
        folders / "people",
        "--judges",
        "colour",
        "--metrics",
        "id_similarity",
        "--out",
        folders / "out",
        *more,
    )


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-pairs", "3"], "--max-pairs needs --dataset"),
        (["--dataset", "synthetic", "--target", "."], "--target does not go with --dataset"),
        (["--dataset", "synthetic", "--pairs", "pairs.csv", "--columns", "source=who"], "--columns does not go with"),
        (["--dataset", "synthetic", "--max-pairs", "0"], "--max_pairs: input should be greater than"),
    ],
)
def test_what_does_not_go_together_is_told(folders: Path, arguments: list[str], said: str) -> None:
    photographs = () if "--dataset" in arguments else ("--target", folders, "--source", folders)
    with pytest.raises(UsageError) as caught:
        call("score", "--outputs", folders / "swap", *photographs, *arguments)
    assert said in caught.value.message


def test_a_pattern_and_a_column_name_many_models(folders: Path, photograph: Photograph) -> None:
    lines = ["tool;File;person;original"]
    for tool in ("a", "b"):
        for i in range(3):
            photograph(folders / "tools" / tool / f"r{i}.png", "ann", 300 + i)
            lines.append(f"{tool};r{i}.png;ann;{i}.png")
    (folders / "tools" / "b" / "r1.png").unlink()
    (folders / "pairs.csv").write_text("\n".join(lines))
    done = score(
        folders,
        "--outputs",
        folders / "tools" / "*",
        "--pairs",
        folders / "pairs.csv",
        "--columns",
        "output=file,source=person,target=original,model=tool",
        "-q",
    )
    assert done.exit_code == 0, done.output
    assert {model.name: model.failures for model in load(folders / "out").models[2:]} == {"a": {}, "b": {"missing": 1}}
    for wrong in (("--missing", "maybe"), ("--columns", "output=x"), ("--outputs", "nowhere/*")):
        with pytest.raises(UsageError):
            score(folders, "--outputs", folders / "swap", *wrong)


def test_a_score_goes_on_only_with_what_it_was_asked(folders: Path, photograph: Photograph) -> None:
    table, others = folders / "pairs.csv", folders / "others"
    photograph(others / "zoe" / "0.png", "bob", 9)
    table.write_text("output,source,target\nann_0,ann,0\nann_1,ann,1\n")
    again = ("--outputs", folders / "swap", "--pairs", table, "--gallery", others, "-q")
    assert score(folders, *again).exit_code == 0
    before = (folders / "out" / "result.json").read_bytes()
    changes = [
        (table, b"output,source,target\nann_0,ann,1\nann_1,ann,0\n", "the table pairs.csv"),
        (table, b"output,source,target\nann_0,ann,0\n", "the table pairs.csv"),
        (folders / "swap" / "ann_2.png", (folders / "swap" / "ann_1.png").read_bytes(), "the outputs of swap"),
        (folders / "swap" / "ann_3.png", b"", "the outputs of swap"),
        (folders / "targets" / "2.png", b"x", "the folder of --target"),
        (folders / "people" / "bob" / "s0" / "7.png", b"x", "the folder of --source"),
        (others / "zoe" / "0.png", b"x", "the folder of --gallery"),
    ]
    for path, content, what in changes:
        kept = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        with pytest.raises(OutputError, match=f"a finished run of other content: {what} changed since"):
            score(folders, *again, "--resume")
        path.unlink() if kept is None else path.write_bytes(kept)
    with pytest.raises(OutputError, match="--coach of swap changed since"):
        score(folders, *again, "--resume", "--coach", "colour")
    for more in (("--missing", "drop"), ("--columns", "output=output"), ("--size", "64"), ("--seed", "3")):
        with pytest.raises(OutputError, match="of another plan"):
            score(folders, *again, "--resume", *more)
    assert (folders / "out" / "result.json").read_bytes() == before
    table.write_bytes(b"\xef\xbb\xbfOutput;Source;Target\r\nann_0;ann;0\r\nann_1;ann;1\r\n")  # says the same
    assert score(folders, *again, "--resume").exit_code == 0


@pytest.mark.parametrize("plan", ["", "[]", "{", '{"inputs": 3}', "null"])
def test_a_folder_with_a_damaged_plan_is_not_gone_on_with(folders: Path, plan: str) -> None:
    (folders / "out").mkdir()
    (folders / "out" / "plan.json").write_text(plan)
    with pytest.raises(OutputError, match="an unfinished run of another plan"):
        score(folders, "--outputs", folders / "swap", "--resume")


@pytest.fixture
def tools(folders: Path, photograph: Photograph) -> Path:
    for tool in ("a", "b (1), x", "it's"):
        for i in range(3):
            photograph(folders / "tools" / tool / f"ann_{i}.png", "ann", 300 + i)
    (folders / "tools" / "@eaDir").mkdir()
    (folders / "tools" / "0readme.txt").write_text("")
    return folders


@pytest.mark.parametrize("expanded", [True, False])
def test_a_pattern_without_quotes_is_what_it_is_in_quotes(tools: Path, expanded: bool) -> None:
    names = sorted(str(path) for path in (tools / "tools").iterdir())
    assert names[0].endswith("0readme.txt")
    done = score(tools, "--outputs", *(names if expanded else [tools / "tools" / "*"]), "-q")
    assert done.exit_code == 0, done.output
    result = load(tools / "out")
    assert [model.name for model in result.models[2:]] == ["a", "b (1), x", "it's"]
    assert {one.files for one in result.unused if one.where == "tools"} == {("@eaDir/",), ("0readme.txt",)}


def test_tools_without_an_answer_are_told_once_each(folders: Path, photograph: Photograph) -> None:
    for i in range(3):
        photograph(folders / "tools" / "fine" / f"ann_{i}.png", "ann", 300 + i)
    photograph(folders / "tools" / "odd" / "what.png", "ann", 1)
    (folders / "tools" / "crashed").mkdir()
    done = score(folders, "--outputs", folders / "tools" / "*")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    for tool, why in (("odd", "what.png: its name does not say"), ("crashed", "holds no image")):
        assert text.count(f"nothing of {tool} was measured") == 1
        assert text.count(why) == 1
        assert f"{tool} not ranked" in text
    assert done.stdout.rstrip().endswith("report.html")


@pytest.mark.parametrize("stray", ["targets/0.png", "nowhere", "tools/none", "a" * 300, "/"])
def test_an_argument_that_belongs_to_no_option_is_told(tools: Path, stray: str) -> None:
    with pytest.raises(UsageError, match="belongs to no option") as caught:
        score(tools, "--outputs", tools / "tools" / "a", tools / stray)
    assert "'tools/*'" in caught.value.hint


@pytest.mark.parametrize("pattern", ["tools/*.txt", "nowhere/*", "tools/[xyz]", "tools/@*"])
def test_a_pattern_of_no_folder_is_told(tools: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="names no folder"):
        score(tools, "--outputs", tools / pattern)


def test_what_a_result_says_of_its_data_reads_back(tools: Path) -> None:
    (tools / "tools").rename(tools / "to,ols (2)")
    (tools / "pairs.csv").write_text('tool;file;"a, b";target\na;ann_0.png;ann;0\n')
    columns = "model=tool,output=file,source='a, b'"
    done = score(
        tools, "--outputs", tools / "to,ols (2)" / "*", "--pairs", tools / "pairs.csv", "--columns", columns, "-q"
    )
    assert done.exit_code == 1, done.output  # two tools have no row
    assert parse_spec(f"score({load(tools / 'out').dataset.spec})").params == {
        "source": str(tools / "people"),
        "target": str(tools / "targets"),
        "pairs": str(tools / "pairs.csv"),
        "columns": columns,
        "size": "128",
    }


EVERY_EXAMPLE = re.findall(r"fsbench (score .*?)\n\n", inspect.getdoc(score_command) or "", re.DOTALL)
EXAMPLES = [text for text in EVERY_EXAMPLE if "--dataset" not in text]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_help_run(
    folders: Path, photograph: Photograph, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    for i in range(2):
        photograph(folders / "results" / f"ann_{i}.png", "ann", i)
        for tool in ("a", "b"):
            photograph(folders / "tools" / tool / f"{i}.png", "bob", i)
    (folders / "pairs.csv").write_text("model,output,source,target\na,0.png,bob,0\nb,1.png,bob,1\n")
    (folders / "all.csv").write_text("tool;file;person;target\na;0.png;bob;0\nb;1.png;bob;1\n")
    monkeypatch.chdir(folders)
    done = call(
        *shlex.split(example.replace("\\\n", " ")),
        "--judges",
        "colour",
        "--metrics",
        "id_similarity",
        "--out",
        "out",
        "-q",
    )
    assert done.exit_code == 0, done.output
    names = [model.name for model in load(folders / "out").models[2:]]
    assert names == (["results"] if "results" in example else ["a", "b"])


def test_the_help_has_examples_of_folders_and_of_a_data_set() -> None:
    """That of a data set is run by the tests of fsbench data."""
    assert len(EXAMPLES) == 3
    assert len(EVERY_EXAMPLE) == 4


@pytest.mark.parametrize("below", [True, False])
def test_a_column_names_sub_folders_of_one_folder(tools: Path, below: bool) -> None:
    lines = [f"{tool};{f'{tool}/' * below}ann_{i}.png;ann;{i}" for tool in ("a", "it's", "never") for i in range(2)]
    (tools / "pairs.csv").write_text("\n".join(["model;output;source;target", *lines]))
    done = score(tools, "--outputs", tools / "tools", "--pairs", tools / "pairs.csv", "-q")
    assert done.exit_code == 1, done.output
    result = load(tools / "out")
    assert [(model.name, model.failures, bool(model.error)) for model in result.models[2:]] == [
        ("a", {}, False),
        ("it's", {}, False),
        ("never", {}, True),
    ]
    assert "holds no image" in result.models[-1].error
    assert result.protocol.n_pairs == 2
    assert any("are sub-folders of tools, each measured as a tool: a, it's, never" in said for said in result.warnings)
    unused = {file: one.reason for one in result.unused for file in one.files}
    assert unused["b (1), x/ann_0.png"] == "in no folder that the table names as a model"
    assert unused["ann_2.png"] == "the table does not name it"
    assert {"@eaDir/", "0readme.txt"} <= set(unused)


def test_calibrate_tells_people_apart(folders: Path) -> None:
    done = call("calibrate", folders / "people", "--judges", "colour", "--out", folders / "told")
    assert done.exit_code == 0, done.output
    assert "genuine pairs" in done.stdout
    assert "0.00% at" in done.stdout  # nobody is confused
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
