"""Runs with few clips: differences between runs are over blocks of the clips' frames, as within a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fsbench
from fsbench.comparison.scores import load
from fsbench.comparison.table import RunDifference, compare_runs
from fsbench.gates import baseline
from fsbench.gates.decide import decide
from fsbench.gates.rules import Rule
from fsbench.report import comparison

DATA = "synthetic(people=2,sessions=9,images=1,gallery=0,clips=1,frames=24,size=48)"
MODEL = "alpha_paste+recursive(n=2)"
METRICS = ["flicker(flow=dis)", "jitter(landmarks=five_points)", "vbench_flickering", "tl_id"]


@pytest.fixture(scope="module")
def run(session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 24 frames, one of each of two people."""
    out = tmp_path_factory.mktemp("clips") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(session_folder / "cache"))
        patch.setattr("fsbench.harness.illustrations.TABLES", {})
        patch.setattr("fsbench.report.write", lambda folder: folder)
        fsbench.run([MODEL, "copy_target"], DATA, metrics=[*METRICS, "background"], out=out)
    return out


@pytest.fixture
def other(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "other"))


def compared(a: Path, b: Path, **options: Any) -> dict[str, RunDifference]:
    options = {"models": [f"copy_target={MODEL}"], "metrics": METRICS} | options
    return {record.metric: record for record in compare_runs([load(a), load(b)], **options).differences}


def test_they_are_those_of_two_models_of_one_run(run: Path) -> None:
    """Also where a clip's row is no mean of its frames, and where a judge is asked."""
    found = compared(run, run)
    within = {record.metric: record for record in load(run).result.differences
              if record.model == MODEL and record.other == "copy_target" and record.metric in METRICS}  # fmt: skip
    assert set(found) == set(within) == set(METRICS)
    assert sum(record.low is not None for record in within.values()) >= 3
    for metric, record in found.items():
        expected = within[metric]
        assert record.n == expected.n == 2, record.reason
        assert (record.effect, record.low, record.high) == pytest.approx(
            (expected.effect, expected.low, expected.high), rel=1e-9
        ), metric


def test_where_none_is_named_it_is_told(run: Path) -> None:
    record = compared(run, run, metrics=())[METRICS[1]]
    assert record.verdict == "refused"
    assert "blocks of frames are drawn where --metric names it" in record.reason
    assert compared(run, run, models=[MODEL], metrics=())[METRICS[1]].verdict == "equivalent"


def edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(pd.read_parquet(folder / name)).to_parquet(folder / name)

    return apply


COLUMN = "vbench_flickering:0"
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda folder: (folder / "frames.parquet").unlink(), "not there"),
    "of an older version": (edit("frames.parquet", lambda table: table.drop(columns=COLUMN)), COLUMN),
    "other numbers": (edit("frames.parquet", lambda table: table.assign(**{COLUMN: table[COLUMN] + 1})), "again"),
    "a frame without a number": (edit("frames.parquet", lambda table: table.assign(frame=0.5)), "without a number"),
    "half of the frames": (edit("frames.parquet", lambda table: table[::2]), "again"),
    "no frames": (edit("frames.parquet", lambda table: table[:0].astype({"frame": float, COLUMN: float})), "again"),
    "other frames": (edit("frames.parquet", lambda table: table.assign(frame=table["frame"] + 1)), "other frames"),
    "text": (edit("frames.parquet", lambda table: table.assign(**{COLUMN: "text"})), "other things"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_frames_that_do_not_fit_are_not_compared(kind: str, run: Path, other: Path) -> None:
    damage, said = DAMAGE[kind]
    damage(other)
    record = compared(run, other, metrics=["vbench_flickering"])["vbench_flickering"]
    assert record.verdict == "refused"
    assert said in record.reason


def test_a_baseline_stands_for_clips(run: Path, tmp_path: Path) -> None:
    """It keeps no frames: what is the same in every clip passes, and anything else is not known."""
    baseline.save(load(run), tmp_path / "b.json", metrics=["vbench_flickering"])
    stored, rule = baseline.load(tmp_path / "b.json"), Rule.parse("vbench_flickering drop<=0.001")
    assert decide(load(run), stored, [rule]).state == "pass"
    (record,) = compare_runs([stored, load(run)], models=[f"{MODEL}=copy_target"], metrics=[rule.name]).differences
    assert record.verdict == "refused"
    assert "keeps no frames" in record.reason


def test_a_page_shows_the_clips(run: Path) -> None:
    scores = [load(run), load(run)]
    records = compare_runs(scores, models=[f"copy_target={MODEL}"], metrics=["vbench_flickering"])
    assert comparison.html(comparison.Compared(scores, records)).count("<svg") == 1


def test_outputs_that_are_frames_of_two_clips_are_drawn_in_blocks_too(run: Path, other: Path, tmp_path: Path) -> None:
    """Stills of a video: also in a gate, whose baseline knows which frames they are."""
    for folder in (run, other):
        of_clips(folder if folder is other else Path(shutil.copytree(run, tmp_path / "first")))
    first = load(tmp_path / "first")
    records = compare_runs([first, load(other)], models=[f"copy_target={MODEL}"], metrics=["background"]).differences
    assert [record.verdict for record in records] == ["worse"]
    baseline.save(first, tmp_path / "b.json", metrics=["background"])
    stored = baseline.load(tmp_path / "b.json")
    result = decide(load(other), stored, [Rule.parse("background rise<=0.1")])
    assert result.state == "pass"
    again = compare_runs([stored, load(other)], models=[f"copy_target={MODEL}"], metrics=["background"]).differences
    assert again[0].low == pytest.approx(records[0].low, rel=1e-3)


def of_clips(folder: Path) -> None:
    """Make the stills of a run frames of two clips: 20 outputs of each model."""
    table = pd.read_parquet(folder / "samples.parquet")
    whole = pd.concat([table] * 8, ignore_index=True)
    whole = whole.groupby(["model", "identity"], sort=False).head(20).reset_index(drop=True)
    frames = whole.groupby(["model", "identity"], sort=False).cumcount()
    whole["background"] += 0.1 * (frames % 3) * (whole["model"] == MODEL)
    whole = whole.assign(clip="c", session="s", frame=frames, id=whole["identity"] + frames.map(str))
    whole.sort_values("model", kind="stable").reset_index(drop=True).to_parquet(folder / "samples.parquet")
    result = json.loads((folder / "result.json").read_text())
    for value in result["values"]:
        if value["metric"] == "background":
            rows = whole.loc[whole["model"] == value["model"], "background"]
            value |= {"value": rows.mean(), "n_scored": len(rows), "n_total": len(rows), "n_failed": 0}
    (folder / "result.json").write_text(json.dumps(result))
