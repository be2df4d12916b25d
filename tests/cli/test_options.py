"""An option means the same in every command, and plans are made of what was typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from fsbench.cli import app, job, options
from fsbench.config import Plan
from fsbench.errors import Interrupted, UsageError

OWN = {
    ("baseline save", "metrics"): "some of a result, each maybe under one judge",
    ("baseline save", "models"): "some of a result",
    ("calibrate", "out"): "writes no files by default",
    ("calibrate", "quiet"): "prints its table all the same",
    ("calibrate", "as_json"): "what a file holds",
    ("compare", "metrics"): "some of several results, each maybe under one judge",
    ("compare", "models"): "pairs of models of two results",
    ("export", "metrics"): "some of a result, each maybe under one judge",
    ("export", "out"): "a file, or where a tracker keeps its runs",
    ("leaderboard", "dataset"): "runs of one, by its name in results",
    ("leaderboard", "metrics"): "some of several results, each maybe under one judge",
    ("leaderboard", "out"): "one page",
    ("report", "metrics"): "as those of compare",
    ("report", "models"): "as those of compare",
    ("report", "out"): "one page",
    ("run", "device"): "several may share the work",
    ("score", "device"): "several may share the work",
    ("score", "pairs"): "has outputs, too",
    ("score", "dataset"): "what other tools were given, not what models of a run are",
    ("show", "as_json"): "a list or one object",
    ("swap", "face"): "the face that is swapped, not the one that is measured",
    ("swap", "model"): "one that swaps, not one of a result",
    ("swap", "out"): "a video or an image, not a folder of results",
    ("swap", "preset"): "of what swap itself pastes, parts of which may be named one by one",
    ("swap", "size"): "of what a model is shown",
    ("swap", "source"): "one person, not several",
    ("validate", "dataset"): "only what can be drawn with faults",
    ("validate", "budget"): "trains nothing: a number of outputs",
    ("weights fetch", "dry_run"): "what would be fetched, not removed",
    ("weights import", "name"): "an option, where others have an argument",
}
"""Commands whose option of that name means something else, and what."""


def parameters() -> Iterator[tuple[str, object]]:
    def walk(command: object, path: str) -> Iterator[tuple[str, object]]:
        for parameter in getattr(command, "params", []):
            yield path, parameter
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, f"{path} {name}".strip())

    return walk(get_command(app), "")


def test_an_option_has_one_help() -> None:
    helps: dict[str, dict[str, str]] = {}
    for path, parameter in parameters():
        option = max(parameter.opts, key=len)  # type: ignore[attr-defined]
        if option.startswith("--") and (path, parameter.name) not in OWN:  # type: ignore[attr-defined]
            helps.setdefault(option, {}).setdefault(parameter.help, path)  # type: ignore[attr-defined]
    several = {option: paths for option, paths in helps.items() if len(paths) > 1}
    assert set(several) == {"--json"}, several
    assert set(several["--json"]) == {"One object.", "A list of objects."}


def test_the_exceptions_are_there() -> None:
    assert set(OWN) <= {(path, parameter.name) for path, parameter in parameters()}  # type: ignore[attr-defined]


def test_what_is_not_typed_is_as_in_the_plan_or_the_suite() -> None:
    assert options.plan(judges=None, seed=None) == Plan()
    suite = Plan(judges=("a", "b"), seed=3, gallery="people")
    assert options.plan(suite, judges=None, gallery="") == suite.model_copy(update={"gallery": ""})
    assert options.plan(suite, judges="c, onnx(x=1,y=2)").judges == ("c", "onnx(x=1,y=2)")
    assert options.plan(suite, judges="").judges == ()
    with pytest.raises(UsageError, match=r"--seed: input should be greater"):
        options.plan(seed=-1)


@pytest.mark.parametrize("command", [("run", "--budget", "smoke"), ("score", "--outputs", "x y"), ("run", "-oa/b"),
                                     ("run", "--out=a/b", "--resume"), ("run", "--resume", "-o", "a/b")])  # fmt: skip
def test_interrupted_the_command_that_goes_on_is_complete(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["fsbench", *command])

    def interrupted() -> None:
        with job.running(job.resumed(Path("a/b"))):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        interrupted()
    words = shlex.split(caught.value.hint.removeprefix("go on with: "))
    assert words[: 1 + len(command)] == ["fsbench", *command]
    assert words.count("--resume") == 1
    assert sum(word.startswith(("-o", "--out=")) or word == "--out" for word in words) == 1
    assert "a/b" in " ".join(words)


def test_a_report_that_fails_loses_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fsbench import results

    def broken(out: Path) -> Path:
        raise ValueError("no font")

    monkeypatch.setattr("fsbench.report.write", broken)
    result = results.load(Path(__file__).parents[1] / "old_results/schema_3.json")
    with pytest.raises(typer.Exit) as left:
        job.conclude(result, tmp_path, "")
    assert left.value.exit_code == 1
    shown = capsys.readouterr()
    assert "id_similarity" in " ".join(shown.out.split()).replace("_ ", "_")
    assert "the report could not be written (ValueError: no font)" in shown.err
