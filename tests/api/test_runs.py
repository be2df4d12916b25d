"""A run from Python: the same as from the command line, as data frames, pages and comparisons."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from blending import TINY, Blend
from typer.main import get_command

import fsbench
from fsbench.cli import app
from fsbench.config import Plan
from fsbench.errors import OutputError, ResultError, UnknownName, UsageError
from fsbench.registry import swappers

METRICS = ["id_similarity", "background", "pose_error_five"]


@pytest.fixture(scope="module")
def folder(session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("api") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(session_folder / "cache"))
        fsbench.run("alpha_paste", TINY, metrics=METRICS, out=out)
    return out


@pytest.mark.parametrize("name", ["run", "score"])
def test_arguments_are_the_options_of_the_command(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    typed = {parameter.name for parameter in command.params} - {"beside"}
    assert set(inspect.signature(getattr(fsbench, name)).parameters) == typed


def test_an_evaluation_has_the_fields_of_a_plan() -> None:
    own = {"cache", "data_root"}
    assert set(inspect.signature(fsbench.Evaluation).parameters) - own == set(Plan.model_fields) - {
        "models", "budget", "stage", "preset"
    }  # fmt: skip


def test_of_many_pairs_some_are_taken(tmp_path: Path) -> None:
    run = fsbench.run("alpha_paste", TINY, metrics="gt_psnr,vbench_flickering", max_pairs=3, out=tmp_path / "out")
    sets = {record.name: record for record in run.result.protocol.sets}
    assert sets["stills"].n_pairs == 3
    assert "evenly chosen" in sets["stills"].pairing
    assert all(record.n_clips <= 3 for record in sets.values())
    assert set(run.values[run.values["metric"] == "gt_psnr"]["n_total"]) == {3}
    with pytest.raises(UsageError, match="max_pairs"):
        fsbench.run("alpha_paste", TINY, max_pairs=0, out=tmp_path / "none")


def test_a_run_is_that_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "fsbench", "run", "--models", "alpha_paste", "--dataset", TINY,
            "--metrics", ",".join(METRICS), "--out", str(tmp_path / "out")]  # fmt: skip
    subprocess.run(line, check=True, capture_output=True)
    typed, called = (json.loads((place / "result.json").read_text()) for place in (tmp_path / "out", folder))
    assert typed["values"] == called["values"]
    assert typed["protocol"] == called["protocol"]
    assert (
        called["command"]
        == f"fsbench.run(models='alpha_paste', dataset={TINY!r}, metrics={METRICS!r}, out={str(folder)!r})"
    )
    assert {path.name for path in folder.iterdir()} == {path.name for path in (tmp_path / "out").iterdir()}


def test_values_and_samples_are_tables(folder: Path) -> None:
    run = fsbench.load(folder)
    assert set(run.values["metric"]) == set(METRICS)
    assert set(run.values["model"]) == {model.name for model in run.result.models}
    row = run.values.query("model == 'copy_target' and metric == 'background'").iloc[0]
    assert (row["value"], row["unit"], row["direction"], row["judge"]) == (0, "levels", "lower", "")
    assert run.values["value"].dtype == float
    assert {"id_similarity@dlib_resnet", "background"} <= set(run.samples.columns)
    value = run.samples.query("model == 'alpha_paste'")["background"].mean()
    assert value == pytest.approx(run.values.query("model == 'alpha_paste' and metric == 'background'")["value"].item())
    assert run.clips.empty
    assert str(folder) in repr(run)


def test_a_page_goes_where_it_is_wanted(folder: Path, tmp_path: Path) -> None:
    run = fsbench.load(str(folder))
    assert run.report() == folder / "report.html"
    page = run.report(tmp_path / "page.html")
    assert page.read_text() == (folder / "report.html").read_text()


@pytest.mark.usefixtures("_plain_runs")
def test_two_runs_are_compared(folder: Path, registering: None, tmp_path: Path) -> None:
    swappers.register("blend")(Blend)
    one = fsbench.run("blend", TINY, metrics=METRICS, out=tmp_path / "one")
    two = fsbench.run("blend", TINY, metrics=METRICS, out=tmp_path / "two", seed=1)
    pair = one.compare(two, metrics="background", margins={"background": "2%"})
    row = pair.table.iloc[0]
    assert row[["model", "metric", "verdict", "effect"]].tolist() == ["blend", "background", "equivalent", 0]
    value = one.values.query("model == 'blend' and metric == 'background'")["value"].item()
    assert row["margin"] == pytest.approx(0.02 * value)
    assert pair.report(tmp_path / "both.html").read_text().startswith("<!DOCTYPE html>")
    assert "equivalent" in repr(pair)
    assert "<td>equivalent</td>" in pair._repr_html_()
    assert (
        one.compare(tmp_path / "two", models=["blend"], metrics=["id_similarity", "background"]).comparison.n_tested
        == 2
    )
    with pytest.raises(UnknownName, match="id_similarity"):
        one.compare(two, metrics=["id_similarty"])
    with pytest.raises(UsageError, match="no margin"):
        one.compare(two, margins={"background": "much"})
    with pytest.raises(ResultError, match="no finished run"):
        one.compare(tmp_path)


@pytest.mark.usefixtures("_plain_runs")
def test_nothing_is_printed_unless_asked(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = {"dataset": TINY, "metrics": ["background"]}
    before = torch.get_num_threads()
    fsbench.run("alpha_paste", **arguments, out=tmp_path / "quiet")
    assert torch.get_num_threads() == before
    assert capfd.readouterr() == ("", "")
    fsbench.run("alpha_paste", **arguments, out=tmp_path / "loud", quiet=False)
    out, err = capfd.readouterr()
    assert "background" in out
    assert "results go to" in err


def test_a_notebook_is_shown_text_and_no_markup(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "odd")
    text = (tmp_path / "odd/result.json").read_text()
    name = "<img src=x onerror=alert(1)>"
    (tmp_path / "odd/result.json").write_text(text.replace('"alpha_paste"', json.dumps(name)))
    shown = fsbench.load(tmp_path / "odd")._repr_html_()
    assert "<img" not in shown
    assert "&lt;img src=x" in shown
    assert "id_similarity@dlib_resnet" in shown


@pytest.mark.parametrize(("arguments", "kind", "said"), [
    ({"models": "gan_mas"}, UnknownName, "did you mean gan_mask"),
    ({"models": ["gan_mask(sizee=tiny)"]}, UsageError, "size"),
    ({"models": ()}, UsageError, "no model to run"),
    ({"metrics": "id_similarty"}, UnknownName, "id_similarity"),
    ({"budget": "3 minutes"}, UsageError, "budget"),
    ({"device": "gpu"}, UsageError, "unknown device"),
    ({"seed": -1}, UsageError, "seed: input should be greater"),
    ({"models": 5}, UsageError, "models: "),
    ({"resume": True}, UsageError, "resume needs out"),
    ({"suite": "benchmarks/notes.toml"}, UsageError, "a suite of .* experiments"),
    ({"suite": "nothing.toml"}, UsageError, "no suite file"),
    ({"out": "pyproject.toml"}, OutputError, "is a file"),
])  # fmt: skip
def test_what_does_not_exist_is_told(arguments: dict, kind: type[Exception], said: str) -> None:
    given = {"baselines": False, **arguments}
    with pytest.raises(kind, match=said):
        fsbench.run(**given)


@pytest.mark.usefixtures("_plain_runs")
def test_a_suite_file_of_one_run_is_its_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        f"dataset = {json.dumps(TINY)}\nmodels = ['alpha_paste']\nmetrics = ['background']\n"
    )
    run = fsbench.run(suite=tmp_path / "plan.toml", out=tmp_path / "out")
    assert set(run.values["metric"]) == {"background"}


def test_a_report_that_cannot_be_written_costs_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> Path:
        raise RuntimeError("no fonts")

    monkeypatch.setattr("fsbench.report.write", broken)
    with pytest.warns(UserWarning, match="no fonts"):
        run = fsbench.run("alpha_paste", TINY, metrics="background", out=tmp_path / "out")
    assert len(run.values)


def test_damaged_folders_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no finished run"):
        fsbench.load(tmp_path / "nothing")
    shutil.copytree(folder, tmp_path / "cut")
    (tmp_path / "cut/samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultError, match=r"samples\.parquet"):
        _ = fsbench.load(tmp_path / "cut").samples


@pytest.mark.usefixtures("_plain_runs")
def test_files_are_scored(folder: Path, tmp_path: Path) -> None:
    for role, place in (("targets", "inputs/target"), ("people", "inputs/source")):
        shutil.copytree(folder / place, tmp_path / role)
    targets = {path.stem: path for path in (tmp_path / "targets").rglob("*.png")}
    samples = fsbench.load(folder).samples.query("model == 'alpha_paste'")
    (tmp_path / "results").mkdir()
    rows = []
    for number, sample in enumerate(samples.itertuples()):
        shutil.copy(folder / sample.output, tmp_path / f"results/{number}.png")
        rows.append({"file": f"{number}.png", "who": sample.source, "target": f"{sample.id}.png"})
    assert targets
    pd.DataFrame(rows).to_csv(tmp_path / "pairs.csv", index=False)
    run = fsbench.score(
        {"mine": tmp_path / "results"}, tmp_path / "targets", tmp_path / "people", pairs=tmp_path / "pairs.csv",
        columns={"output": "file", "source": "who"}, coach={"mine": "none"}, metrics="background", size=48,
        out=tmp_path / "out",
    )  # fmt: skip
    values = run.values.set_index(["model", "metric"])["value"]
    assert values["mine", "background"] >= 0
    assert run.result.command.startswith("fsbench.score(outputs={'mine': ")
    assert not any("what mine was trained against" in warning for warning in run.warnings)
    with pytest.raises(UsageError, match="--face"):
        fsbench.score(tmp_path / "results", tmp_path / "targets", tmp_path / "people", face="ugliest")


def test_importing_is_light() -> None:
    code = (
        "import sys, fsbench\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pydantic', 'typer', 'PIL', 'matplotlib', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert {'run', 'score', 'load', 'Run', 'Evaluation', 'functional'} <= set(dir(fsbench))\n"
        "assert not hasattr(fsbench, 'nothing')\n"
        "fsbench.load\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
        "from fsbench import Evaluation, functional\n"
        "assert fsbench.functional is functional and functional.fid\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_of_results_needs_no_torch(folder: Path) -> None:
    code = (
        f"import sys, fsbench; run = fsbench.load({str(folder)!r}); run.values; run.samples; run._repr_html_(); "
        "run.compare(run.folder, models=['alpha_paste']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
