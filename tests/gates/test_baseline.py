"""The file that a gate holds runs against: its size, what it keeps, and what becomes of an edited one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_scores import labels, write_run

from fsbench.comparison.scores import Rows, Scores, load
from fsbench.comparison.table import compare_runs
from fsbench.errors import ResultError, UnknownName, UsageError
from fsbench.gates import baseline
from fsbench.gates.baseline import _digest
from fsbench.results import Key, MetricRecord, Value

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    baseline.save(load(write_run(tmp_path / "run", failures={"swapper": 3})), tmp_path / "b.json", now=NOW)
    return tmp_path / "b.json"


def test_it_stands_for_its_run(saved: Path, tmp_path: Path) -> None:
    run, stored = load(tmp_path / "run"), baseline.load(saved)
    comparison = compare_runs([stored, run])
    assert [record.verdict for record in comparison.differences] == ["equivalent"] * 3
    assert all(record.low == record.high == 0 for record in comparison.differences)
    assert not comparison.mismatches
    assert not comparison.unmatched
    other = load(write_run(tmp_path / "other", seed=1))
    of_run, of_stored = (compare_runs([one, other]).differences for one in (run, stored))
    for a, b in zip(of_run, of_stored, strict=True):
        assert (a.effect, a.low, a.p) == pytest.approx((b.effect, b.low, b.p), rel=1e-3)
        assert a.verdict == b.verdict


def test_it_is_one_line_a_sample_and_the_same_when_saved_again(saved: Path, tmp_path: Path) -> None:
    text = saved.read_text()
    assert text.isascii()
    assert sum('"p0/s0/0"' in line for line in text.splitlines()) == 3  # one for each source
    baseline.save(load(tmp_path / "run"), tmp_path / "again.json", now=NOW)
    assert (tmp_path / "again.json").read_text() == text


def test_a_thousand_samples_under_three_judges_stay_below_a_megabyte(tmp_path: Path) -> None:
    """Eighteen judged metrics and eight others, as the summary of a report has, with sixteen digits each."""
    run, random = load(write_run(tmp_path / "run", table=labels(11, 5, 2))), np.random.default_rng(0)
    table = run.tables["output"].iloc[:1000]
    keys = [Key(f"metric_{i}", judge) for i in range(6) for judge in ("dlib_resnet", "onnx(sface)", "facenet_vggface2")]
    keys += [Key(f"other_{i}") for i in range(8)]
    record = run.result.metrics[0].model_dump() | {"headline": False}
    metrics = [MetricRecord(**(record | {"name": name})) for name in dict.fromkeys(key[0] for key in keys)]
    judges = [
        run.result.judges[0].model_copy(update={"name": name}) for name in dict.fromkeys(key[1] for key in keys[:18])
    ]
    models = ["copy_target", "swapper"]
    values = [Value(model=model, metric=key[0], judge=key[1], value=0.5, n_scored=1000, n_total=1000, n_clusters=9)
              for model in models for key in keys]  # fmt: skip
    update = {"metrics": tuple(metrics), "judges": tuple(judges), "values": tuple(values)}
    columns = {(model, *key): Rows(random.random(1000), frozenset({"mean"})) for model in models for key in keys}
    saved = baseline.save(
        Scores("run", run.result.model_copy(update=update), {"output": table}, columns), tmp_path / "b"
    )
    assert 500_000 < saved.n_bytes < 1_000_000


def test_what_has_no_numbers_is_left_out_and_told(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run"))
    columns = {key: "there is no face" if key[1] == "pose_error" else rows for key, rows in run.columns.items()}
    saved = baseline.save(replace(run, columns=columns), tmp_path / "b.json")
    assert saved.left_out == {"pose_error": "there is no face"}
    assert not any(key[0] == "pose_error" for key in baseline.load(tmp_path / "b.json").keys)


def test_models_and_metrics_are_chosen(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", {"a": {}, "b": {}}))
    baseline.save(run, tmp_path / "b.json", models=["b"], metrics=["pose_error"])
    stored = baseline.load(tmp_path / "b.json")
    assert stored.contestants == ["b"]
    assert stored.keys == [Key("pose_error")]
    assert {key[0] for key in stored.columns} == {"b", "copy_target"}
    with pytest.raises(UnknownName):
        baseline.save(run, tmp_path / "b.json", models=["c"])
    with pytest.raises(UnknownName):
        baseline.save(run, tmp_path / "b.json", metrics=["fid"])
    with pytest.raises(UsageError, match="no numbers"):
        baseline.save(load(write_run(tmp_path / "none", {})), tmp_path / "b.json")


def put(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for part in path[:-1]:
            place = place[part]
        if to is KeyError:
            del place[path[-1]]
        else:
            place[path[-1]] = to

    return change


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "a field too many": put("extra", to=1),
    "no result": put("result", to=KeyError),
    "no tables": put("tables", to=KeyError),
    "tables that are a list": put("tables", to=[]),
    "a table of another kind": put("tables", to={"frame": {}}),
    "a result of a newer schema": put("result", "schema", to=99),
    "a result without its values": put("result", "values", to=KeyError),
    "a value of the wrong type": put("result", "values", 0, "value", to="high"),
    "a column too many": put("tables", "output", "columns", to=[]),
    "a column of nobody": put("tables", "output", "columns", 0, "model", to="nobody"),
    "a summary that is none": put("tables", "output", "columns", 0, "summaries", to=["mode"]),
    "a row too short": put("tables", "output", "rows", 3, to=["p1"]),
    "text for a number": put("tables", "output", "rows", 3, -1, to="0.5"),
    "a number for text": put("tables", "output", "rows", 3, 0, to=1),
    "true for a number": put("tables", "output", "rows", 3, -1, to=[]),
    "a number too large": put("tables", "output", "rows", 3, -1, to=1e300),
    "labels that are missing": put("tables", "output", "labels", 0, to="other"),
    "no rows": put("tables", "output", "rows", to=[]),
    "saved by nobody": put("saved", to=None),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("digest", ["kept", "renewed"])
def test_edited_files_are_refused(name: str, digest: str, saved: Path) -> None:
    """Whether the digest is as it was, or was made to fit."""
    content = json.loads(saved.read_text())
    EDITS[name](content)
    if digest == "renewed":
        content.pop("digest")
        content["digest"] = _digest(content)
    saved.write_text(json.dumps(content))
    with pytest.raises(
        ResultError, match="edited" if digest == "kept" else r"no valid|newer|schema|not a valid"
    ) as caught:
        baseline.load(saved)
    assert len(str(caught.value)) < 700


def test_a_sample_twice_is_refused(saved: Path) -> None:
    content = json.loads(saved.read_text())
    rows = content["tables"]["output"]["rows"]
    rows[1][:4] = rows[0][:4]
    content.pop("digest")
    saved.write_text(json.dumps(content | {"digest": _digest(content)}))
    with pytest.raises(ResultError, match="one twice"):
        baseline.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"kind": "other"}', "\x00", '{"kind": NaN}', "[" * 100_000])
def test_other_files_are_no_baselines(text: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ResultError, match=r"b\.json"):
        baseline.load(tmp_path / "b.json")


def test_a_newer_baseline_asks_for_a_newer_fsbench(saved: Path) -> None:
    saved.write_text(saved.read_text().replace('"schema": 1', '"schema": 2', 1))
    with pytest.raises(ResultError, match="newer fsbench") as caught:
        baseline.load(saved)
    assert "upgrade" in caught.value.hint


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        baseline.open_scores(tmp_path / "none")
