"""benchmarks/compare_results.py finds every kind of difference between two results, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

SCRIPT = Path(__file__).parents[1] / "benchmarks/compare_results.py"
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_results", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_result(folder: Path) -> None:
    """A result with a file of every kind that is compared."""
    (folder / "outputs/m").mkdir(parents=True)
    value = {"metric": "psnr", "judge": None, "value": 0.1 + 0.2, "low": 0.25, "high": 0.5, "n_scored": 7, "reason": ""}
    result = {
        "created": "today",
        "seconds": 3.5,
        "environment": {"cores": 2},
        "models": [{"name": "m", "summary": "A model.", "failures": {"no_face": 1}, "swap_seconds": 0.1}],
        "values": [{"model": model, **value} for model in ("m", "w")],
        "ranking": {"ranks": [{"model": "m", "mean": 1.0}, {"model": "w", "mean": None}]},
        "judges": [{"name": "j", "calibration": {"points": [{"far": 0.01, "threshold": 0.5, "tar": 1.0}]}}],
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "exit.json").write_text('{"exit_code": 0}')
    pd.DataFrame({"id": ["a", "b"], "psnr": [1.5, np.nan], "far": [None, "x"]}).to_parquet(folder / "samples.parquet")
    (folder / "scores.csv").write_text("output,psnr\na,1.5\nb,\n", encoding="utf-8-sig")
    save_file({"references": np.array([[0.5, np.nan]], np.float32)}, folder / "j.safetensors")
    Image.new("RGB", (4, 4), (9, 9, 9)).save(folder / "outputs/m/a.png")
    (folder / "report.html").write_text("a page")


def json_edit(*path: str | int, to: Any) -> Edit:
    def edit(folder: Path) -> None:
        result = json.loads((folder / "result.json").read_text())
        place = result
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to
        (folder / "result.json").write_text(json.dumps(result))

    return edit


def drop_value(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    del result["values"][0]
    (folder / "result.json").write_text(json.dumps(result))


def table_edit(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Edit:
    def edit(folder: Path) -> None:
        change(pd.read_parquet(folder / "samples.parquet")).to_parquet(folder / "samples.parquet")

    return edit


def repaint(folder: Path) -> None:
    image = Image.open(folder / "outputs/m/a.png")
    image.putpixel((3, 3), (9, 9, 10))
    image.save(folder / "outputs/m/a.png")


def shift_tensor(folder: Path) -> None:
    save_file(
        {"references": np.array([[np.nextafter(np.float32(0.5), 1), np.nan]], np.float32)}, folder / "j.safetensors"
    )


DIFFERENCES: dict[str, tuple[Edit, str]] = {
    "last digit of a value": (json_edit("values", 0, "value", to=0.3), "result.json:values[m,psnr].value"),
    "value that is gone": (json_edit("values", 0, "value", to=None), "result.json:values[m,psnr].value"),
    "interval": (json_edit("values", 1, "high", to=0.5000001), "result.json:values[w,psnr].high"),
    "count": (json_edit("values", 0, "n_scored", to=8), "result.json:values[m,psnr].n_scored"),
    "reason": (json_edit("values", 0, "reason", to="too few"), "result.json:values[m,psnr].reason"),
    "kinds of failures": (json_edit("models", 0, "failures", to={}), "result.json:models[m].failures.no_face"),
    "rank": (json_edit("ranking", "ranks", 0, "mean", to=2.0), "result.json:ranking.ranks[m].mean"),
    "place of a calibration": (
        json_edit("judges", 0, "calibration", "points", 0, "threshold", to=0.51),
        "result.json:judges[j].calibration.points[0.01].threshold",
    ),
    "record that is gone": (drop_value, "result.json:values[m,psnr].low"),
    "exit code": (lambda folder: (folder / "exit.json").write_text('{"exit_code": 1}') and None, "exit.json:exit_code"),
    "cell of a table": (table_edit(lambda rows: rows.assign(psnr=[1.5, 0.0])), "samples.parquet:psnr"),
    "text in a table": (table_edit(lambda rows: rows.assign(far=["y", "x"])), "samples.parquet:far"),
    "order of rows": (table_edit(lambda rows: rows[::-1]), "samples.parquet:id"),
    "number of rows": (table_edit(lambda rows: rows[:1]), "samples.parquet:id"),
    "column that is gone": (table_edit(lambda rows: rows.drop(columns="psnr")), "samples.parquet:psnr"),
    "spreadsheet": (
        lambda folder: (folder / "scores.csv").write_text("output,psnr\na,1.50\nb,\n") and None,
        "scores.csv:psnr",
    ),
    "vector": (shift_tensor, "j.safetensors:references"),
    "level of a pixel": (repaint, "outputs/m/a.png:pixels"),
    "image that is gone": (lambda folder: (folder / "outputs/m/a.png").unlink(), "outputs/m/a.png:pixels"),
}


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("old", "new"):
        write_result(tmp_path / name)
    return tmp_path / "old", tmp_path / "new"


def test_equal_results_are_equal(script: ModuleType, sides: tuple[Path, Path]) -> None:
    found = script.compare(*sides)
    assert not found.differences
    assert not found.added
    assert found.n == found.n_equal > 20


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_each_kind_of_difference_is_found(script: ModuleType, sides: tuple[Path, Path], kind: str) -> None:
    edit, where = DIFFERENCES[kind]
    edit(sides[1])
    found = script.compare(*sides)
    assert any(line.startswith(f"{where}: ") for line in found.differences), found.differences
    assert found.n_equal == found.n - len(found.differences)
    assert not script.compare(sides[1], sides[1]).differences


def test_time_machine_and_prose_are_ignored(script: ModuleType, sides: tuple[Path, Path]) -> None:
    for key, to in (("created", "tomorrow"), ("seconds", 9.0), ("environment", {"cores": 64, "gpu": "x"})):
        json_edit(key, to=to)(sides[1])
    json_edit("models", 0, "swap_seconds", to=7.0)(sides[1])
    json_edit("models", 0, "summary", to="The same model in other words.")(sides[1])
    (sides[1] / "report.html").write_text("another page")
    found = script.compare(*sides)
    assert not found.differences
    assert found.ignored == {"created": 1, "seconds": 1, "environment": 2, "swap_seconds": 1, "summary": 1}


def test_what_is_new_is_listed_and_is_no_difference(script: ModuleType, sides: tuple[Path, Path]) -> None:
    json_edit("values", 0, "n_failed", to=0)(sides[1])
    (sides[1] / "extra.json").write_text('{"a": 1}')
    found = script.compare(*sides)
    assert not found.differences
    assert found.added == ["extra.json:a", "result.json:values[m,psnr].n_failed"]


def test_patterns_leave_fields_out(script: ModuleType, sides: tuple[Path, Path]) -> None:
    json_edit("values", 0, "reason", to="too few")(sides[1])
    assert len(script.compare(*sides).differences) == 1
    assert not script.compare(*sides, ["result.json:values*.reason"]).differences


def test_the_report_says_which_job_differs(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("old", "new"):
        for job in ("run", "score"):
            write_result(tmp_path / side / job)
    assert script.report(tmp_path / "old", tmp_path / "new", ["run", "score"], [])
    DIFFERENCES["count"][0](tmp_path / "new/score")
    assert not script.report(tmp_path / "old", tmp_path / "new", ["run", "score"], [])
    assert "DIFFERENT score/result.json:values[m,psnr].n_scored: 7 became 8" in capsys.readouterr().out
    assert script.report(tmp_path / "old", tmp_path / "new", ["run", "score"], ["score/result.json:*n_scored"])


def test_a_job_without_results_is_not_equal(script: ModuleType, tmp_path: Path) -> None:
    for side in ("old", "new"):
        (tmp_path / side / "run").mkdir(parents=True)
    assert not script.report(tmp_path / "old", tmp_path / "new", ["run"], [])
