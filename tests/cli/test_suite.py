"""Suites of experiments from the command line: all are run, each in a folder of its own, and answered on one page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import names, suites
from fsbench.config import Suite, load_suite
from fsbench.harness import suite as service

Fsbench = Callable[..., subprocess.CompletedProcess[str]]
SUITE = """
dataset = "synthetic(people=2,sessions=6,images=2,gallery=0,clips=0,size=48)"
metrics = ["gt_psnr"]
resamples = 100
device = "cpu"

[[experiment]]
title = "Pasting"
question = "Is <pasting> better than nothing?"
models = ["alpha_paste+recursive(n=1)"]
baseline = "copy_target"

[[experiment]]
title = "lost"
question = "What of a file that is not there?"
models = ["gan_mask@nowhere.safetensors", "cyclegan@nowhere.safetensors"]

[[experiment]]
title = "passes"
models = ["alpha_paste+recursive(n=2)", "alpha_paste+recursive(n=3)", "gan_mask@nowhere.safetensors"]
metrics = ["gt_psnr", "gt_lpips"]
"""


def write(folder: Path, text: str = SUITE) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def done(fsbench: Fsbench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("suite")
    return folder / "out", fsbench("run", "--suite", write(folder), "--budget", "smoke", "--out", folder / "out")


def test_all_are_run_and_one_that_fails_is_told(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, ended = done
    assert ended.returncode == 1, ended.stderr
    for number, title in enumerate(("Pasting", "lost", "passes"), 1):
        assert f"experiment {number} of 3: {title}" in ended.stderr
    assert "failed: no file nowhere.safetensors" in ended.stdout
    assert {path.parent.name for path in out.glob("*/result.json")} == {"pasting", "passes"}
    assert {path.parent.name for path in out.glob("*/report.html")} == {"pasting", "passes"}
    assert json.loads((out / "passes" / "plan.json").read_text())["budget"] == "smoke"


def test_answers_are_made_of_numbers(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    pasting, lost, passes = suites.load(done[0]).experiments
    (comparison,) = pasting.comparisons
    assert (comparison.model, comparison.metric, pasting.baseline) == (
        "alpha_paste+recursive(n=1)",
        "gt_psnr",
        "copy_target",
    )
    assert comparison.effect is not None
    assert comparison.low is not None
    assert comparison.detectable is not None
    assert comparison.low < comparison.effect
    for number in (comparison.effect, comparison.low, comparison.detectable):
        assert f"{abs(number):.2f}" in pasting.answers[0]
    assert not lost.finished
    assert "nowhere" in lost.error
    relations = {one.metric: (one.relation, one.reason) for one in passes.comparisons}
    assert relations["gt_psnr"] == ("unclear", "")
    assert relations["gt_lpips"][0] == "unknown"
    assert "fsbench weights fetch" in relations["gt_lpips"][1]  # told, and the other metric is measured
    assert "no difference detectable at this size by gt_psnr" in passes.answers[0]
    assert any("gan_mask@nowhere.safetensors failed: no file nowhere" in answer for answer in passes.answers)


def test_the_page_has_all_and_nothing_from_elsewhere(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    page = (done[0] / "report.html").read_text(encoding="utf-8")
    assert "Is &lt;pasting&gt; better than nothing?" in page
    for answer in suites.load(done[0]).experiments[2].answers:
        assert answer in page
    links = set(re.findall(r'(?:href|src)="([^"#][^"#]*)', page))
    assert {link for link in links if not link.startswith("data:")} == {"pasting/report.html", "passes/report.html"}
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    assert page.count("data:image/jpeg") >= 6


def test_what_is_finished_is_not_run_again(
    done: tuple[Path, subprocess.CompletedProcess[str]], fsbench: Fsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = done[0]
    before, ran = suites.load(out), []
    monkeypatch.setattr(service, "run", lambda plan, folder, *_, **__: ran.append(folder.name) or 1 / 0)
    ended = fsbench("run", "--suite", write(out.parent), "--budget", "smoke", "--out", out, "--resume")
    assert ended.returncode == 1
    assert ran == ["lost", "passes"]  # and one of which a model failed is, from the cache
    assert "failed: ZeroDivisionError: division by zero" in ended.stdout
    assert "ZeroDivisionError" in (out / "lost-error.txt").read_text()
    after = suites.load(out)
    assert after.experiments[0] == before.experiments[0]
    assert not after.experiments[2].finished


def test_other_commands_know_such_a_folder(
    done: tuple[Path, subprocess.CompletedProcess[str]], fsbench: Fsbench
) -> None:
    out = done[0]
    shown = fsbench("show", out)
    assert shown.returncode == 0, shown.stderr
    assert "1. Pasting (pasting)" in shown.stdout
    assert suites.load(out).experiments[0].answers[0] in shown.stdout
    assert json.loads(fsbench("show", out, "--json").stdout)["experiments"][2]["title"] == "passes"
    refused = fsbench("show", out, "--metric", "gt_psnr")
    assert refused.returncode == 2
    assert "passes, pasting" in refused.stderr
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert fsbench("report", out).returncode == 0
    assert (out / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "add --resume"),
        (["--resume", "--budget", "short"], "a finished run of another plan"),
        (["--resume", "--models", "gan_mask"], "--models cannot be given beside a suite of experiments"),
        (["--resume", "--dataset", "synthetic"], "--dataset cannot be given beside a suite of experiments"),
        (["--resume", "--no-baselines"], "experiment 'Pasting': baseline 'copy_target' is none of its models"),
        (["--resume", "--metrics", "gt_psrn"], "experiment 'Pasting': unknown metric 'gt_psrn'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    done: tuple[Path, subprocess.CompletedProcess[str]], fsbench: Fsbench, arguments: list[str], said: str
) -> None:
    out = done[0]
    before = (out / "suite.json").read_bytes()
    ended = fsbench("run", "--suite", write(out.parent), "--budget", "smoke", "--out", out, *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert (out / "suite.json").read_bytes() == before


def test_a_folder_with_other_things_is_left_alone(fsbench: Fsbench, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    ended = fsbench("run", "--suite", write(tmp_path), "--out", tmp_path, "--resume")
    assert ended.returncode == 2
    assert "holds no suite of experiments" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "tiny.toml"}


def test_a_damaged_answer_file_is_told(fsbench: Fsbench, tmp_path: Path) -> None:
    for content in ("", "[]", "{}", '{"schema_number": 99}', '{"name": "x", "experiments": [{}]}'):
        (tmp_path / "suite.json").write_text(content)
        for command in ("show", "report"):
            ended = fsbench(command, tmp_path)
            assert ended.returncode == 2
            assert "suite.json" in ended.stderr


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml")), ids=lambda p: p.name
)
def test_suites_that_come_with_fsbench_name_what_there_is(path: Path) -> None:
    suite = load_suite(path)
    plans = [experiment.plan for experiment in suite.experiments] if isinstance(suite, Suite) else [suite]
    for plan in plans:
        names.check(plan)
    if isinstance(suite, Suite):
        assert all(experiment.question.endswith("?") for experiment in suite.experiments)
        assert all(experiment.baseline_label for experiment in suite.experiments)
