from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from fsbench import results
from fsbench.cli import data
from fsbench.datasets.synthetic import dataset
from fsbench.environment import build_dataset
from fsbench.errors import MissingData, UnknownName
from fsbench.interfaces import Context


def answer(*arguments: str) -> str:
    """Run a command; an error is raised as it is."""
    result = CliRunner().invoke(data.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def photographs(tmp_path: Path, shared: Path) -> Path:
    for person in ("George_W_Bush", "Colin_Powell"):
        for i, path in enumerate(sorted((shared / "data/lfw" / person).glob("*.jpg"))[:9]):
            copy = tmp_path / "photographs" / person / ("a" if i < 6 else f"b{i % 2}") / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "photographs" / "Colin_Powell" / "a" / "broken.jpg").write_bytes(b"")
    (tmp_path / "photographs" / "Colin_Powell" / "notes.txt").write_text("")
    return tmp_path / "photographs"


def test_data_sets_are_listed() -> None:
    names = [row["name"] for row in json.loads(answer("list", "--json"))]
    assert {"folder", "synthetic", "trump_cage"} <= set(names)
    assert "trump_cage" in answer("list")


def test_info_counts_identities(photographs: Path) -> None:
    said = json.loads(answer("info", f"folder(size=64):{photographs}", "--json"))
    assert said["crop_size"] == 64
    assert said["counts"] == [
        {"identity": name, "split": split, "images": images, "sessions": sessions}
        for name in ("Colin_Powell", "George_W_Bush")
        for split, images, sessions in (("test", 3, 2), ("train", 6, 1))
    ]
    for row, sessions in zip(said["balance"], [{"b0": 2, "b1": 1}, {"a": 6}] * 2, strict=True):
        assert row["sessions"] == sessions
        assert sum(row["poses"].values()) == sum(sessions.values())
    shown = answer("info", f"folder(size=64):{photographs}")
    assert "b0 67%" in shown
    assert "frontal" in shown


def test_check_looks_closer(photographs: Path) -> None:
    said = json.loads(answer("check", f"folder:{photographs}", "--json"))
    assert [row["session"] for row in said["counts"]] == ["a", "b0", "b1"] * 2
    assert all(row["faces_found"] == row["images"] for row in said["counts"])
    assert said["files"] == {"used": 18, "unreadable": 1, "no image, by its name": 1}
    assert said["photo_size"]["largest"] == [250, 250]
    assert sum("session a holds 6 of 9 images" in warning for warning in said["warnings"]) == 2
    text = answer("check", f"folder:{photographs}")
    assert "1 of 19 images left out, unreadable, it is empty (0 bytes): Colin_Powell/a/broken.jpg" in text
    assert "files: 18 used, 1 unreadable, 1 no image, by its name" in text


def test_info_draws_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(dataset, "draw_missing", lambda *_: pytest.fail("something was drawn"))
    for spec in ("synthetic", "synthetic(people=3, gallery=0)", "synthetic(size=64)"):
        said = json.loads(answer("info", spec, "--json"))
        train = [row for row in said["counts"] if row["split"] == "train"]
        assert [row["images"] for row in train] == [240] * (3 if "people" in spec else 2)
        assert "fsbench data check" in said["notes"][-1]


def test_an_outline_is_what_is_drawn(context: Context) -> None:
    small = build_dataset("synthetic(sessions=4, images=2, gallery=2, frames=3, size=32)", context)
    for split in small.info.splits:
        outline = small.outline(split)
        assert outline.equals(small.faces(split).rows[list(outline.columns)])


def test_what_is_missing_or_misspelt(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="cannot be redistributed"):
        answer("info", "trump_cage", "--data-root", str(tmp_path))
    with pytest.raises(UnknownName, match="unknown data set") as caught:
        answer("check", "sinthetic")
    assert "synthetic" in caught.value.hint


Invoke = Callable[..., tuple[int, str, str]]
CROPS = "synthetic(people=3,sessions=4,images=2,gallery=3,clips=1,frames=3,size=64)"


def test_what_a_tool_made_of_exported_crops_is_scored(
    invoke: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, said, _ = invoke("data", "export", CROPS, tmp_path / "crops", "--quiet")
    assert code == 0, said
    facts = json.loads((tmp_path / "crops/dataset.json").read_text())
    assert facts["spec"] == CROPS
    table = pd.read_csv(tmp_path / "crops/pairs.csv")
    assert f"{len(table)} pairs" in said
    for output, target in zip(table["output"], table["target"], strict=True):
        image = Image.open(tmp_path / "crops" / target).convert("L").convert("RGB")
        (tmp_path / "grey" / output).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "grey" / output)
    command = ("score", "--dataset", CROPS, "--outputs", f"a grey tool={tmp_path}/grey", "--coach", "none")
    code, said, errors = invoke(*command, "--metrics", "gt_psnr,gt_ssim", "--out", tmp_path / "out", "--quiet")
    assert code == 0, errors
    result = results.load(tmp_path / "out")
    assert [model.name for model in result.models if model.kind == "precomputed"] == ["a grey tool"]
    assert result.find("a grey tool", "gt_psnr")[0].value is not None
    few = table[table["set"] == "stills"].iloc[::2]
    few.to_csv(tmp_path / "few.csv", index=False)
    chosen = ("--metrics", "gt_psnr,id_similarity", "--pairs", tmp_path / "few.csv", "--max-pairs", 4, "--quiet")
    code, said, errors = invoke(*command, *chosen, "--out", tmp_path / "few")
    assert code == 0, errors
    code, said, errors = invoke("run", "--dataset", CROPS, "--models", f"precomputed:{tmp_path}/grey",
                                *chosen, "--out", tmp_path / "run")  # fmt: skip
    assert code == 0, errors
    scored, ran = results.load(tmp_path / "few"), results.load(tmp_path / "run")
    assert scored.protocol.sets == ran.protocol.sets
    assert scored.protocol.n_pairs == 4 < len(few)
    assert len(scored.values) == len(ran.values) > 6
    for one, other in zip(scored.values, ran.values, strict=True):
        assert (one.metric, one.judge, one.n_scored, one.n_total) == (other.metric, other.judge, other.n_scored, 4)
        assert [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high], rel=0, abs=1e-9)
    unused = scored.unused[0]
    assert (len(unused.files), unused.reason) == (len(table) - 4, "no pair has this name")
