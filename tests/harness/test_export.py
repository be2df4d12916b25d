"""Crops of a data set as files, what a tool makes of them, and the score of that."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fsbench import results
from fsbench.config import Plan
from fsbench.environment import build_dataset
from fsbench.errors import DataError, OutputError
from fsbench.harness.export import export
from fsbench.harness.external.exported import ExportedOutputs
from fsbench.harness.external.files import ToolOutputs
from fsbench.harness.run import run
from fsbench.interfaces import Context

SPEC = "synthetic(people=3,sessions=4,images=2,gallery=3,clips=1,frames=3,size=64)"


@pytest.fixture
def crops(context: Context, tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    export(build_dataset(SPEC, context), SPEC, folder, context)
    return folder


@pytest.fixture
def answers(crops: Path, tmp_path: Path) -> pd.DataFrame:
    """A tool that copies targets wrote what the table asks, into `tool` below the test's folder."""
    table = pd.read_csv(crops / "pairs.csv")
    for output, target in zip(table["output"], table["target"], strict=True):
        (tmp_path / "tool" / output).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(crops / target, tmp_path / "tool" / output)
    return table


def score(folders: dict[str, Path], out: Path, context: Context, **coaches: list[str]) -> results.RunResult:
    exported = ExportedOutputs([ToolOutputs.find(name, folder) for name, folder in folders.items()], coaches)
    plan = exported.plan(Plan(dataset=SPEC, metrics=("id_similarity", "gt_psnr", "vbench_flickering")))
    return run(plan, out, context, exported=exported)


def test_the_files_are_what_models_of_a_run_are_shown(crops: Path, context: Context) -> None:
    dataset = build_dataset(SPEC, context)
    table, images = pd.read_csv(crops / "pairs.csv"), pd.read_csv(crops / "images.csv")
    test = dataset.faces("test")
    assert set(table["target"]) == {f"targets/{name}.png" for name in test.rows["id"]}
    assert set(table["set"]) == {"stills", "clips"}
    assert all(list((crops / source).glob("*.png")) for source in table["source"].unique())
    assert all((crops / file).is_file() for file in images["file"])
    first = images[images["file"] == f"targets/{test.rows['id'][0]}.png"].iloc[0]
    assert np.allclose([first["x0"], first["y4"]], [test.landmarks[0, 0, 0], test.landmarks[0, 4, 1]], atol=1e-3)
    shown = np.asarray(Image.open(crops / first["file"]))
    assert (shown == test.crops.levels([0])[0]).all()
    trained = set(images["file"]) - set(table["target"])
    assert trained == {f"train/{name}.png" for name in dataset.faces("train").rows["id"]}


def test_a_copy_of_the_targets_scores_as_the_baseline(answers: pd.DataFrame, tmp_path: Path, context: Context) -> None:
    result = score({"mine": tmp_path / "tool"}, tmp_path / "out", context, mine=["arcface"])
    record = next(model for model in result.models if model.name == "mine")
    assert record.kind == "precomputed"
    assert record.coaches == ("arcface",)
    assert record.swap_seconds is None
    assert record.failures == {"unchanged": int((answers["set"] == "stills").sum())}
    values = {(value.model, value.metric): value for value in result.values}
    for metric in ("gt_psnr", "vbench_flickering"):
        assert values["mine", metric].n_total == values["copy_target", metric].n_total
    assert values["mine", "vbench_flickering"].value == values["copy_target", "vbench_flickering"].value


def test_what_is_missing_and_what_nobody_asked_for_is_told(
    answers: pd.DataFrame, tmp_path: Path, context: Context
) -> None:
    tool = tmp_path / "tool"
    for output in answers["output"]:
        pixels = np.asarray(Image.open(tool / output)).astype(int) + 9
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((128, 128)).save(tool / output)
    stills = answers[answers["set"] == "stills"]["output"]
    (tool / stills.iloc[0]).unlink()
    (tool / stills.iloc[1]).write_bytes(b"no image")
    shutil.copy(tool / stills.iloc[2], tool / "p000_extra.png")
    (tool / "log.txt").write_text("done")
    (tmp_path / "other").mkdir()
    shutil.copy(tool / stills.iloc[2], tmp_path / "other/p000-p001.png")
    (tmp_path / "empty").mkdir()
    folders = {"mine": tool, "other (2)": tmp_path / "other", "empty": tmp_path / "empty"}
    result = score(folders, tmp_path / "out", context)
    models = {model.name: model for model in result.models}
    assert models["mine"].failures["missing"] == 1
    assert models["mine"].failures["unreadable"] == 1
    assert "none of the 1 images" in models["other (2)"].error
    assert f"such as {stills.iloc[0]}" in models["other (2)"].error
    assert "holds no image" in models["empty"].error
    unused = {(record.where, record.reason): record.files for record in result.unused}
    assert unused["mine", "no pair has this name"] == ("p000_extra.png",)
    assert any(where == "mine" and files == ("log.txt",) for (where, _), files in unused.items())
    assert any("mine was trained against is not known" in warning for warning in result.warnings)


def test_where_no_tool_shows_a_pair_nothing_is_measured(tmp_path: Path, context: Context) -> None:
    (tmp_path / "tool").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "tool/one.png")
    with pytest.raises(DataError, match=r"none of the 1 images .* is named as a pair") as caught:
        score({"mine": tmp_path / "tool"}, tmp_path / "out", context)
    assert "fsbench data export" in caught.value.hint


def test_an_export_goes_on_and_leaves_other_folders_alone(crops: Path, context: Context) -> None:
    dataset, table = build_dataset(SPEC, context), pd.read_csv(crops / "pairs.csv")
    lost, kept = (crops / table["target"].iloc[i] for i in (0, 1))
    lost.unlink()
    (crops / "pairs.csv").unlink()
    before = kept.stat().st_mtime_ns
    export(dataset, SPEC, crops, context)
    assert lost.is_file()
    assert kept.stat().st_mtime_ns == before
    assert pd.read_csv(crops / "pairs.csv").equals(table)
    other = SPEC.replace("people=3", "people=4")
    with pytest.raises(OutputError, match="another data set"):
        export(build_dataset(other, context), other, crops, context)


@pytest.mark.parametrize("content", ["", "[1]", '{"name": "synthetic"}', "{" * 5000])
def test_a_folder_of_anything_else_is_left_alone(content: str, tmp_path: Path, context: Context) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(OutputError, match="is not empty"):
        export(build_dataset(SPEC, context), SPEC, tmp_path, context)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]
