"""The steps of .github replayed on this machine: one gate blocks, one passes, one cannot say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_scores import labels, write_run

from fsbench.comparison.scores import load
from fsbench.gates import baseline

ROOT = Path(__file__).parents[2] / ".github"
WORKFLOW = yaml.safe_load((ROOT / "examples/github.yml").read_text())
ACTION = yaml.safe_load((ROOT / "actions/gate/action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "examples/gitlab.yml").read_text())
STEPS = WORKFLOW["jobs"]["gate"]["steps"]

Replay = Callable[..., dict[str, Any]]


def filled(text: str, known: Mapping[str, str]) -> str:
    """A text with what stands for its expressions; KeyError for one that nobody gave."""
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda match: known[match[1]], text)


def shell(script: str, folder: Path, environment: Mapping[str, str]) -> int:
    with (folder / "out.log").open("a") as log:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, check=False,
            env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return done.returncode


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Run the steps of the example from the gate on, with a run and a baseline in their places."""
    tools = tmp_path / "tools"
    tools.mkdir()
    scripts = {
        "fsbench": f'exec "{sys.executable}" -m fsbench "$@"',
        "gh": f'echo "$@" > "{tmp_path}/gh.txt"; cp fsbench-gate.md "{tmp_path}/comment.md"',
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)

    def call(run: Path, saved: Path, **inputs: str) -> dict[str, Any]:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        shutil.copytree(run, workspace / "report")
        baseline.save(load(saved), workspace / "baseline.json")
        output, summary = tmp_path / "output", tmp_path / "summary.md"
        environment = {"PATH": f"{tools}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(output),
                       "GITHUB_STEP_SUMMARY": str(summary), "COLUMNS": "100"}  # fmt: skip
        code = 0
        names = [step.get("name") for step in STEPS]
        for step in STEPS[names.index("Gate") :]:
            if step["name"] == "Gate":
                given = {name: fact.get("default", "") for name, fact in ACTION["inputs"].items()}
                given |= step["with"] | inputs
                known = {f"inputs.{name}": value for name, value in given.items()}
                for inner in ACTION["runs"]["steps"]:
                    own = {name: filled(value, known) for name, value in inner["env"].items()}
                    code = code or shell(inner["run"], workspace, environment | own)
            elif "run" in step and (code == 0 or step.get("if") == "always()"):
                known = {"github.token": "secret", "github.event.pull_request.number": "7"}
                own = {name: filled(value, known) for name, value in step.get("env", {}).items()}
                assert shell(step["run"], workspace, environment | own) == 0
        read = {"comment": tmp_path / "comment.md", "summary": summary, "output": output, "gh": tmp_path / "gh.txt",
                "log": workspace / "out.log", "junit": workspace / "fsbench-gate.xml"}  # fmt: skip
        return {"code": code} | {name: path.read_text() if path.exists() else "" for name, path in read.items()}

    return call


LARGE = labels(4, 6)


@pytest.mark.parametrize(
    ("drops", "noise", "code", "state"),
    [({}, 0.1, 0, "pass"), ({"id_similarity": 0.05}, 0.1, 1, "regression"), ({}, 5.0, 3, "inconclusive")],
)
def test_it_passes_blocks_and_abstains(
    drops: dict[str, float], noise: float, code: int, state: str, replay: Replay, tmp_path: Path
) -> None:
    old = write_run(tmp_path / "old", table=LARGE, noise=0.1)
    new = write_run(tmp_path / "new", {"swapper": drops}, table=LARGE, noise=noise, seed=1)
    done = replay(new, old, rules="id_similarity drop<=0.01\n\nadvisory: pose_error rise<=5%\n")
    assert done["code"] == code, done["log"]
    assert done["output"] == f"state={state}\n"
    for text in (done["comment"], done["summary"]):
        assert text.startswith({0: "### ✅", 1: "### ❌", 3: "### ❔"}[code])
    assert done["gh"].split() == [
        "pr",
        "comment",
        "7",
        "--edit-last",
        "--create-if-none",
        "--body-file",
        "fsbench-gate.md",
    ]
    assert ("::error" in done["log"]) == (code == 1)
    assert "<testsuites>" in done["junit"]


def test_another_protocol_is_refused_and_there_is_no_comment(replay: Replay, tmp_path: Path) -> None:
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", changes={"dataset.revision": "2"})
    done = replay(new, old, rules="")
    assert (done["code"], done["output"], done["comment"]) == (2, "state=refused\n", "")
    assert "not of one protocol" in done["log"]


def test_what_is_given_is_never_code(replay: Replay, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    done = replay(run, run, rules='id_similarity drop<=0.01 $(touch owned) `touch owned`; touch owned "')
    assert done["code"] == 2
    assert not list(tmp_path.rglob("owned"))


def test_a_name_gives_github_no_commands(replay: Replay, tmp_path: Path) -> None:
    name = "::error::x"
    old, new = (
        write_run(tmp_path / "old", {name: {}}),
        write_run(tmp_path / "new", {name: {"id_similarity": 0.3}}, seed=1),
    )
    lines = replay(new, old, rules="")["log"].splitlines()
    commands = [i for i, line in enumerate(lines) if line.lstrip().startswith("::")]
    start = next(i for i in commands if lines[i].startswith("::stop-commands::"))
    end = next(i for i in commands if lines[i] == f"::{lines[start].rpartition('::')[2]}::")
    assert all(lines[i].startswith(("::error title=", "::warning title=")) for i in commands if i > end)


@pytest.mark.slow
def test_the_run_of_the_example_is_one_that_passes(replay: Replay, tmp_path: Path) -> None:
    """With fewer images, and held against itself."""
    line = next(step["run"] for step in STEPS if step.get("name") == "Run")
    script = line.replace("sessions=24,images=2", "sessions=4,images=2").replace(
        "fsbench run", '"$FSBENCH" -m fsbench run'
    )
    assert script.count("sessions=4") == script.count("$FSBENCH") == 1
    assert shell(script, tmp_path, {"FSBENCH": sys.executable}) == 0, (tmp_path / "out.log").read_text()
    assert replay(tmp_path / "report", tmp_path / "report")["output"] == "state=pass\n"


def test_the_examples_ask_the_same(tmp_path: Path) -> None:
    """Both run the same command, and the rules and options that they name are there."""
    run = next(step["run"] for step in STEPS if step.get("name") == "Run")
    gate = next(step["with"] for step in STEPS if step.get("name") == "Gate")
    assert GITLAB["fsbench"]["script"][0] == run
    rules = re.findall(r'--rule "(.*?)"', GITLAB["fsbench"]["script"][1])
    assert rules == gate["rules"].split("\n")[:-1]
    assert set(gate) <= set(ACTION["inputs"])
    assert "${{" not in "".join(step["run"] for step in [*ACTION["runs"]["steps"], *STEPS] if "run" in step)
