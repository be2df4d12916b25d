"""With --log-format json standard error holds an object a line, whoever prints it and however the command ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import fsbench
from fsbench.cli import app, progress, terminal
from fsbench.errors import UsageError
from fsbench.registry import swappers

Invoke = Callable[..., tuple[int, str, str]]
TINY = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"
SHORT = ["--dataset", TINY, "--metrics", "gt_psnr", "--no-baselines", "--device", "cpu", "--log-format", "json"]


def objects(text: str) -> list[dict[str, Any]]:
    """The lines of a log; all are objects with a time and an event."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert text.isascii()
    for line in lines:
        assert abs(datetime.now(UTC) - datetime.fromisoformat(line["time"])) < timedelta(hours=1)
        assert line["event"]
    return lines


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


@pytest.mark.usefixtures("registering")
def test_a_run_in_which_a_model_fails(invoke: Invoke, tmp_path: Path) -> None:
    def swap(source: object, targets: object) -> object:
        print("hello\r\x1b[31mred\x1b[0m")  # noqa: T201 - plug-ins print
        print("no end", end="", file=sys.stderr)  # noqa: T201
        raise ValueError("no \x1b[2J idea")

    swappers.register("lost")(type("Lost", (), {"__doc__": "Fails.", "swap": staticmethod(swap)}))
    out = tmp_path / "out"
    code, said, errors = invoke("run", "--models", "alpha_paste,lost", *SHORT, "--out", out)
    assert code == 1
    lines = objects(errors)
    assert of(lines, "folder") == [{**of(lines, "folder")[0], "folder": str(out)}]
    assert of(lines, "models")[-1]["models"] == ["alpha_paste", "lost"]
    (finished,), (failed,) = of(lines, "model_finished"), of(lines, "model_failed")
    assert finished["model"] == "alpha_paste"
    assert finished["values"]["gt_psnr"] == pytest.approx(fsbench.load(out).values["value"][0])
    assert failed["model"] == "lost"
    assert "no \x1b[2J idea" in failed["error"]
    assert of(lines, "result") == [{**of(lines, "result")[0], "path": str(out / "result.json")}]
    warned = [line["text"] for line in of(lines, "warning")]
    assert set(warned) == set(fsbench.load(out).warnings)
    assert len(set(warned)) == len(warned)
    messages = [line["text"] for line in of(lines, "message")]
    assert {"hello", "red", "no end"} <= set(messages)
    stages = {line["number"]: line["stage"] for line in of(lines, "stage")}
    for line in of(lines, "progress"):
        assert stages[line["number"]] == line["stage"]
        assert line["done"] <= line["total"]
    assert "alpha_paste" in said, "the table is printed as ever"
    assert sorted(path.name for path in out.glob(".*")) == []


def test_an_error_is_an_object(invoke: Invoke, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["run", "--models", "gan_maks"], "unknown"),
        (["run", "--models", "gan_mask", "--device", "tpu"], "unknown device"),
        (["calibrate", str(tmp_path)], "holds no image"),
        (["score", "--outputs", str(tmp_path)], "--target is missing"),
        (["validate", "--budget", "large"], "budget"),
        (["weights", "fetch", "nothing"], "nothing"),
    ):
        code, said, errors = invoke(*arguments, "--log-format", "json")
        assert (code, said) == (2, "")
        *_, last = objects(errors)
        assert last["event"] == "error"
        assert sentence in last["text"]
        assert set(last) == {"time", "event", "text", "hint"}


def test_a_fault_of_fsbench_is_lines_and_an_object(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("fsbench.harness.run.run", broken)
    code, _, errors = invoke("run", "--models", "alpha_paste", *SHORT, "--out", tmp_path / "out")
    assert code == 1
    *messages, last = objects(errors)
    assert any("Traceback" in line["text"] for line in messages)
    assert (last["event"], last["text"]) == ("error", "RuntimeError: a fault")


def test_text_is_the_default_and_quiet_says_nothing(invoke: Invoke, tmp_path: Path) -> None:
    code, _, errors = invoke("run", "--models", "alpha_paste", *SHORT[:-2], "--out", tmp_path / "text")
    assert code == 0
    assert f"results go to {tmp_path / 'text'}\n" in errors
    assert "{" not in errors
    code, said, errors = invoke("run", "--models", "alpha_paste", *SHORT, "--quiet", "--out", tmp_path / "json")
    assert (code, errors) == (0, "")
    assert said.startswith("report: ")


def test_from_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"models": "alpha_paste", "dataset": TINY, "metrics": "gt_psnr", "baselines": False}
    fsbench.run(**arguments, out=tmp_path / "out", quiet=False, log_format="json")
    assert of(objects(capsys.readouterr().err), "result")
    with pytest.raises(UsageError, match="log_format 'xml' is not known"):
        fsbench.run(**arguments, out=tmp_path / "none", log_format="xml")  # type: ignore[arg-type]


def test_of_a_stage_there_is_no_more_than_one_object_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.listened(as_json=True) as events:
        stage, other = events.stage("work"), events.stage("work")
        for step in range(1001):
            now[0] += 0.01
            stage(step, 1000, {"loss": float("nan")})
            other(1, 1)
        stage(1000, 1000)
    lines = of(objects(capsys.readouterr().err), "progress")
    first = [line for line in lines if line["number"] == 1]
    assert 10 <= len(first) <= 12
    assert (first[0]["done"], first[-1]["done"]) == (0, 1000)
    assert first[0]["figures"] == {"loss": None}
    assert len(lines) - len(first) == 1, "an end is told once"


def test_every_long_command_has_it() -> None:
    """Each that shows progress: those that call job.running."""
    with_option = set()

    def walk(command: Any, path: str) -> None:
        if any(parameter.name == "log_format" for parameter in command.params):
            with_option.add(path)
        for name, below in getattr(command, "commands", {}).items():
            walk(below, f"{path} {name}".strip())

    walk(get_command(app), "")
    assert with_option == {
        "run", "score", "swap", "validate", "calibrate", "data info", "data check", "data export", "cache verify",
        "cache prune", "weights fetch",
    }  # fmt: skip


def test_another_word_is_refused(invoke: Invoke) -> None:
    code, _, errors = invoke("run", "--log-format", "xml")
    assert code == 2
    assert "--log-format" in errors
    assert "json" in errors


def test_what_is_printed_before_and_after_is_as_it_was() -> None:
    code = (
        "import sys; from fsbench.cli import terminal\n"
        "with terminal.streams():\n"
        "    print('before', file=sys.stderr)\n"
        "    terminal.choose_format('json')\n"
        "    print('a\\n\\nb', end='', file=sys.stderr)\n"
        "print('after', file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    before, a, b, after = said.splitlines()
    assert (before, after) == ("before", "after")
    assert [json.loads(line)["text"] for line in (a, b)] == ["a", "b"]
    assert terminal.choose_format("text") == "text"
