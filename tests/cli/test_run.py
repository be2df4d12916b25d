"""The main job, end to end, on a small set of synthetic people."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from cost import cost
from PIL import Image
from safetensors.numpy import load_file

from fsbench.registry import metrics

Fsbench = Callable[..., subprocess.CompletedProcess[str]]
MAIN = [sys.executable, "-m", "fsbench"]
SMALL = "synthetic(sessions=7,images=8,size=96,gallery=8,frames=4)"
TINY = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"
MODELS = "copy_target,exact,gan_mask,cyclegan"


@pytest.fixture(scope="module")
def out(fsbench: Fsbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    done = fsbench("run", "--models", MODELS, "--dataset", SMALL, "--budget", "smoke", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return folder


def values(folder: Path) -> dict[tuple[str, str], dict]:
    return {(v["model"], v["metric"]): v for v in json.loads((folder / "result.json").read_text())["values"]}


def test_the_ceiling_is_above_the_floor(out: Path) -> None:
    found = values(out)
    assert found["exact", "id_similarity"]["low"] > found["copy_target", "id_similarity"]["high"]
    assert found["exact", "id_nearer_source"]["value"] == 100
    assert found["copy_target", "id_nearer_source"]["value"] == 0
    assert found["exact", "gt_psnr"]["value"] == pytest.approx(58.92, abs=0.01)
    assert found["exact", "gt_ssim"]["value"] == pytest.approx(1)
    assert found["copy_target", "gt_psnr"]["value"] < 40


def test_every_value_has_counts_and_an_interval_around_it(out: Path) -> None:
    told = json.loads((out / "result.json").read_text())["metrics"]
    assert {metric["name"] for metric in told} == set(metrics.names())
    intervals = {metric["name"]: metric["interval"] for metric in told}
    excuses = (
        "not installed", "impostor", "answers that it is shown", "2048 are needed",  # ten people: no threshold
        "there are aligned crops only",
    )  # fmt: skip
    samples = {metric["name"]: metric["sample"] for metric in told}
    for (model, metric), value in values(out).items():
        n_total, name = (6 * 2, "stills") if samples[metric] == "output" else (2 * 2, "clips")
        assert 0 <= value["n_scored"] <= value["n_total"] == n_total
        assert value["set"] == name
        if value["value"] is None:  # what a model makes after a few steps may have no face
            assert value["reason"]
            if model in ("copy_target", "copy_source", "alpha_paste", "exact"):
                too_short = metric in ("lag", "tof", "tlp")  # clips of four frames, of which they leave out the ends
                assert too_short or any(excuse in value["reason"] for excuse in excuses), value
            continue
        assert value["n_scored"] + value["n_failed"] > 0
        if intervals[metric] == "none":  # resampling would bias it
            assert value["low"] is None
        elif value["low"] is None:  # three of four clips are too few for an interval
            assert value["no_interval"]
            assert value["n_scored"] < value["n_total"]
        else:
            assert value["low"] <= value["value"] <= value["high"], value


def test_the_result_says_how_the_models_came_to_be(out: Path) -> None:
    result = json.loads((out / "result.json").read_text())
    models = {model["name"]: model for model in result["models"]}
    assert set(models) == {"copy_target", "copy_source", "alpha_paste", "exact", "gan_mask", "cyclegan"}
    assert models["gan_mask"]["training"]["budget"] == "smoke"
    assert models["gan_mask"]["training"]["settings"]["size"] == "tiny"
    assert any("perceptual loss off" in note for note in models["gan_mask"]["notes"])
    assert {"train", "test", "test clips", "gallery"} == set(result["dataset"]["content"])
    assert result["judges"][0]["weights"]["dlib_resnet"].startswith("55533b28")


def test_the_files_of_a_run_agree(out: Path) -> None:
    samples, references = pd.read_parquet(out / "samples.parquet"), pd.read_parquet(out / "references.parquet")
    features = load_file(out / "features" / "dlib_resnet.safetensors")
    assert len(features["references"]) == len(references)
    for model, rows in samples.groupby("model"):
        assert len(features[model]) == len(rows)
        scored = rows["id_similarity@dlib_resnet"].dropna()
        value = values(out)[model, "id_similarity"]
        assert len(scored) == value["n_scored"]
        if len(scored):
            assert scored.mean() == pytest.approx(value["value"], abs=1e-6)
    for path in samples["output"]:
        with Image.open(out / path) as image:
            assert image.size == (96, 96)
    assert (out / "report.html").stat().st_size > 100_000


def test_show_prints_one_object_or_a_list(fsbench: Fsbench, out: Path) -> None:
    one = json.loads(fsbench("show", out, "--model", "exact", "--metric", "id_similarity", "--json").stdout)
    assert list(one) == ["model", "metric", "value", "low", "high", "n_scored", "n_total"]
    many = json.loads(fsbench("show", out, "--model", "exact", "--json").stdout)
    assert one in many
    assert len(many) == len(json.loads((out / "result.json").read_text())["metrics"])
    said = fsbench("show", out).stdout
    assert "copy_target" in said
    assert "judge: dlib_resnet" in said
    assert "mean rank by id_similarity over 1 judge (dlib_resnet): " in said
    assert "two or more of different families are wanted" in " ".join(said.split())
    none = fsbench("show", out, "--judge", "dlib_resnt")
    assert none.returncode == 2
    assert "did you mean dlib_resnet?" in none.stderr
    unjudged = fsbench("show", out, "--judge", "dlib_resnet", "--metric", "gt_psnr")
    assert unjudged.returncode == 2
    assert "leave --judge out" in unjudged.stderr


def test_a_second_run_reads_the_cache_and_gives_the_same_numbers(fsbench: Fsbench, out: Path, tmp_path: Path) -> None:
    done = fsbench("run", "--models", MODELS, "--dataset", SMALL, "--budget", "smoke", "--out", tmp_path / "out")
    assert "trained before" in done.stderr
    assert values(tmp_path / "out") == values(out)


def test_a_run_is_not_overwritten(fsbench: Fsbench, out: Path) -> None:
    before = (out / "result.json").read_bytes()
    again = fsbench("run", "--models", MODELS, "--dataset", SMALL, "--budget", "smoke", "--out", out)
    assert again.returncode == 2
    assert "holds a finished run" in again.stderr
    other = fsbench("run", "--models", "gan_mask", "--dataset", SMALL, "--budget", "smoke", "--out", out, "--resume")
    assert other.returncode == 2
    assert "another plan" in other.stderr
    assert (out / "result.json").read_bytes() == before


def test_a_trained_model_is_loaded_again(fsbench: Fsbench, out: Path, tmp_path: Path) -> None:
    weights = out / "models" / "gan_mask.safetensors"
    done = fsbench(
        "run", "--models", f"gan_mask@{weights}", "--dataset", SMALL, "--no-baselines", "--out", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    loaded = values(tmp_path / "out")
    assert loaded["gan_mask@gan_mask.safetensors", "id_similarity"]["value"] == pytest.approx(
        values(out)["gan_mask", "id_similarity"]["value"], abs=1e-4
    )


@pytest.mark.parametrize("spoil", ["truncated", "other"])
def test_a_spoilt_model_is_refused(spoil: str, fsbench: Fsbench, out: Path, tmp_path: Path) -> None:
    weights = tmp_path / "m.safetensors"
    name = "cyclegan" if spoil == "other" else "gan_mask"
    shutil.copy(out / "models" / f"{name}.safetensors", weights)
    if spoil == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    done = fsbench("run", "--models", f"gan_mask@{weights}", "--dataset", SMALL, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(weights) in done.stderr


def test_the_report_is_written_again_without_torch(fsbench: Fsbench, out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    page = (copy / "report.html").read_bytes()
    (copy / "report.html").unlink()
    code = (
        "import sys; from fsbench.report import write; from pathlib import Path; write(Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(copy)], check=True, timeout=300)
    assert (copy / "report.html").read_bytes() == page


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["run", "--models", "gan_mask", "--dataset", TINY, "--budget", "100000", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "FSBENCH_CACHE": str(tmp_path / "cache")}
    ignored = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen([*MAIN, *arguments], env=environment, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "perceptual loss off" in line:  # training begins
                break
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    # Python ends by the signal, which a shell calls 130 too, where it came while a text given to exec() ran: imports do
    assert process.returncode in (130, -signal.SIGINT)
    assert "go on with: fsbench run" in said
    assert said.rstrip().endswith("--resume")
    assert "Traceback" not in said


def test_help_costs_little_more_than_the_library_that_prints_it() -> None:
    def shown() -> None:
        done = subprocess.run([*MAIN, "--help"], capture_output=True, text=True, check=True)
        assert "fsbench run" in done.stdout

    def library() -> None:
        subprocess.run([sys.executable, "-c", "import numpy, typer.core, rich.markdown, rich.table"], check=True)

    assert cost(shown, over=library, times=5) < 2
