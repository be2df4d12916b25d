"""Runs compared with each other: what is paired, what is refused, what is said, and how often it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_scores import JUDGE, labels, write_run

from fsbench.comparison.margins import Margin
from fsbench.comparison.scores import load
from fsbench.comparison.table import RunComparison, RunDifference, compare_runs
from fsbench.errors import ResultError, UnknownName, UsageError
from fsbench.stats import blocks
from fsbench.stats.resampling import Mean


def compare(*folders: Path, **options: Any) -> RunComparison:
    return compare_runs([load(folder) for folder in folders], **options)


def by_metric(comparison: RunComparison) -> dict[str, RunDifference]:
    return {record.metric: record for record in comparison.differences}


def test_a_run_is_equal_to_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    comparison = compare(run, run)
    assert [record.verdict for record in comparison.differences] == ["equivalent"] * 3
    assert {(record.effect, record.low, record.high, record.p) for record in comparison.differences} == {(0, 0, 0, 1)}
    assert not comparison.mismatches
    assert not comparison.unmatched


def test_a_difference_is_the_harness_own(tmp_path: Path) -> None:
    """The same numbers as of two models within one run."""
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)
    record = by_metric(compare(a, b))["pose_error"]
    rows = [
        pd.read_parquet(folder / "samples.parquet").query("model == 'swapper'").reset_index(drop=True)
        for folder in (a, b)
    ]
    design = blocks.design(rows[0], 300, 0)
    first, second = (Mean(table["pose_error"].to_numpy()) for table in rows)
    everything = np.arange(len(rows[0]))
    expected = design.difference(
        second(everything) - first(everything), design.resample(second), design.resample(first)
    )
    assert (record.effect, record.low, record.high) == pytest.approx((expected.effect, expected.low, expected.high))


def test_verdicts(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", {"swapper": {"id_similarity": 0.05, "pose_error": -1.0}}, seed=1)
    records = by_metric(compare(a, b))
    assert records["id_similarity"].verdict == "worse"
    assert records["id_similarity"].effect == pytest.approx(-0.05, abs=0.01)
    assert records["pose_error"].verdict == "better"
    same = by_metric(compare(a, write_run(tmp_path / "c", seed=2), margins={"pose_error": Margin(20, relative=True)}))
    assert same["id_similarity"].verdict == same["pose_error"].verdict == "equivalent"
    assert same["pose_error"].margin == pytest.approx(0.2 * (same["pose_error"].reference_value or 0))
    noisy = by_metric(compare(a, write_run(tmp_path / "d", noise=3, seed=3)))["id_similarity"]
    assert noisy.verdict == "inconclusive"
    assert (noisy.detectable or 0) > 0.01


def test_rates_need_mcnemars_consent(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", {"swapper": {"id_nearer_source": 0.5}})
    record = by_metric(compare(a, b))["id_nearer_source"]
    assert record.verdict == "worse"
    assert record.mcnemar_p is not None
    assert record.mcnemar_p < 1e-6
    assert (record.n_better, record.n_worse) == (0, round(-(record.effect or 0) / 100 * record.n))
    assert by_metric(compare(a, b))["pose_error"].mcnemar_p is None


def test_p_values_are_corrected_for_the_table(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", {"swapper": {"id_similarity": 0.006}}, seed=1)
    alone = by_metric(compare(a, b, metrics=["id_similarity"]))["id_similarity"]
    among = by_metric(compare(a, b))["id_similarity"]
    assert among.p == pytest.approx(3 * (alone.p or 0))
    assert (among.low, among.high) == (alone.low, alone.high)
    assert (among.detectable or 0) > (alone.detectable or 0)


def test_several_runs_are_compared_with_the_first(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("abc")]
    comparison = compare(*runs)
    assert [record.run for record in comparison.differences] == [str(run) for run in runs[1:] for _ in range(3)]
    assert comparison.n_tested == 6


JUDGED = {"id_similarity", "id_nearer_source"}
EVERYTHING = {*JUDGED, "pose_error"}
CHANGES: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "data revision": ({"dataset.revision": "2"}, "data revision: 1 and 2", EVERYTHING),
    "size": ({"dataset.size": 128}, "size of the crops: 64 pixels and 128 pixels", EVERYTHING),
    "stage": ({"protocol.stage": "frame"}, "stage: crop and frame", EVERYTHING),
    "targets": ({"protocol.sets.0.targets": "d" * 64}, "targets", EVERYTHING),
    "detector": ({"protocol.detector": "other"}, "detector: toy and other", EVERYTHING),
    "resize": ({"protocol.outputs": "files"}, "outputs: crops and files", EVERYTHING),
    "gallery": ({"protocol.gallery_images": 9}, "gallery size", JUDGED),
    "real images": ({"dataset.content.test": "d" * 64}, "real images", JUDGED),
    "judge weights": ({"judges.0.weights": {"toy": "d" * 64}}, "weights of judge", JUDGED),
    "judge version": ({"judges.0.version": 2}, "version of judge", JUDGED),
    "metric observer": ({"metrics.2.observer": "five_points"}, "observer of pose_error", {"pose_error"}),
    "metric version": ({"metrics.2.version": 2}, "version of pose_error: 1 and 2", {"pose_error"}),
    "training images": ({"dataset.content.train": "d" * 64}, "training images", set()),
    "device": ({"environment.device": "cuda"}, "device: cpu and cuda", set()),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_what_differs_in_protocol_is_listed_and_refused(kind: str, tmp_path: Path) -> None:
    changes, said, touched = CHANGES[kind]
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", changes=changes, seed=1)
    comparison = compare(a, b)
    assert any(f"{one.what}: {one.first} and {one.second}".startswith(said) for one in comparison.mismatches)
    refused = {record.metric: record for record in comparison.differences if record.verdict == "refused"}
    assert set(refused) == touched
    assert all(said in record.reason and record.effect is None for record in refused.values())
    allowed = by_metric(compare(a, b, allow_mismatch=True))
    assert all(record.effect is not None for record in allowed.values())
    assert {name for name, record in allowed.items() if record.marks} == touched


def test_baselines_tell_what_no_record_does(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)
    table = pd.read_parquet(b / "samples.parquet")
    table.loc[table["model"] == "copy_target", "pose_error"] += 0.5
    table.to_parquet(b / "samples.parquet")
    result = json.loads((b / "result.json").read_text())
    for value in result["values"]:
        if (value["model"], value["metric"]) == ("copy_target", "pose_error"):
            value["value"] += 0.5
    (b / "result.json").write_text(json.dumps(result))
    (mismatch,) = compare(a, b).mismatches
    assert mismatch.what.startswith("scores of the baselines")
    assert mismatch.touches == ("pose_error",)


def test_images_of_one_name_that_are_not_the_same_are_left_out(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)
    table = pd.read_parquet(b / "samples.parquet")
    table.loc[table["id"] == "p0/s0/0", "target_sha256"] = "0" * 16
    table.to_parquet(b / "samples.parquet")
    comparison = compare(a, b)
    assert "3 of other images under the same name" in comparison.unmatched[0]
    assert {record.n for record in comparison.differences} == {len(labels()) - 3}


def test_samples_of_one_run_only_are_counted(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", table=labels(sessions=5))
    b = write_run(tmp_path / "b", table=labels(sessions=6, first=1))
    assert {record.verdict for record in compare(a, b).differences} == {"refused"}
    comparison = compare(a, b, allow_mismatch=True)
    n = len(labels(sessions=1))
    assert (
        f"{4 * n} outputs are compared; left out: {n} only in the first run, {2 * n} only in this one"
        in comparison.unmatched[0]
    )


def test_failures_count_as_in_the_values(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", failures={"swapper": 30})
    record = by_metric(compare(a, b))["id_similarity"]
    values = [next(v for v in load(run).result.find("swapper", "id_similarity")).value or 0 for run in (a, b)]
    assert record.effect == pytest.approx(values[1] - values[0])
    assert record.effect < -0.05
    many = write_run(tmp_path / "c", {"swapper": {"pose_error": -4.0}}, failures={"swapper": 40})
    assert by_metric(compare(a, many))["pose_error"].verdict != "better"


def test_judges_that_say_nothing(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", changes={"models.2.coaches": ["toy"]})
    record = by_metric(compare(a, a))["id_similarity"]
    assert (record.verdict, record.reason) == ("refused", f"swapper was trained against {JUDGE}")
    b = write_run(tmp_path / "b", judge={"unfit": "it is blind"})
    assert by_metric(compare(b, b))["id_similarity"].reason == "it is blind"


def test_models_are_paired_by_name_or_as_typed(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"one(x=1)": {}, "two": {}})
    b = write_run(tmp_path / "b", {"two": {}, "three(y=2)": {}})
    assert {record.model for record in compare(a, b).differences} == {"two"}
    typed = compare(a, b, models=["one(x=1)=three(y=2)"]).differences
    assert {(record.reference, record.model) for record in typed} == {("one(x=1)", "three(y=2)")}
    with pytest.raises(UnknownName, match="three"):
        compare(a, b, models=["one(x=1)=thre"])
    with pytest.raises(UnknownName, match="ton"):
        compare(a, b, models=["ton=two"])
    with pytest.raises(UsageError, match="one"):
        compare(a, write_run(tmp_path / "c", {"x": {}, "y": {}}))
    lone = compare(write_run(tmp_path / "d", {"old": {}}), write_run(tmp_path / "e", {"new": {}})).differences
    assert {(record.reference, record.model) for record in lone} == {("old", "new")}


def test_metrics_are_chosen_by_name(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    assert [record.metric for record in compare(a, a, metrics=["pose_error"]).differences] == ["pose_error"]
    assert [record.judge for record in compare(a, a, metrics=[f"id_similarity@{JUDGE}"]).differences] == [JUDGE]
    with pytest.raises(UnknownName, match="pose_eror"):
        compare(a, a, metrics=["pose_eror"])


def test_a_metric_of_one_run_only_is_told(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    kept = [value.model_dump() for value in load(a).result.values if value.metric != "pose_error"]
    less = {"values": kept, "metrics": [metric.model_dump() for metric in load(a).result.metrics[:2]]}
    c = write_run(tmp_path / "c", changes=less)
    for runs in ((b, c), (c, b)):
        (record,) = compare(*runs, metrics=["pose_error"]).differences
        assert (record.verdict, record.reason) == ("refused", f"{c} has no pose_error")
        assert {one.metric for one in compare(*runs).differences} == JUDGED


def test_few_sessions_give_no_interval_and_no_verdict(tmp_path: Path) -> None:
    table = labels(people=2, sessions=1)
    a, b = (write_run(tmp_path / name, table=table, seed=seed) for seed, name in enumerate("ab"))
    record = by_metric(compare(a, b))["pose_error"]
    assert record.verdict == "refused"
    assert "interval" in record.reason or "session" in record.reason
    assert by_metric(compare(a, a))["pose_error"].verdict == "equivalent"


def truncate(folder: Path) -> None:
    content = (folder / "samples.parquet").read_bytes()
    (folder / "samples.parquet").write_bytes(content[: len(content) // 2])


def edit(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        change(pd.read_parquet(folder / "samples.parquet")).to_parquet(folder / "samples.parquet")

    return run


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (truncate, "cannot be read"),
    "no table": (lambda folder: (folder / "samples.parquet").unlink(), "not there"),
    "no column": (edit(lambda table: table.drop(columns="session")), "session"),
    "wrong type": (edit(lambda table: table.assign(source=1.5)), "source"),
    "a sample twice": (edit(lambda table: pd.concat([table, table])), "twice"),
    "other samples of one model": (edit(lambda table: table[1:]), "other samples"),
    "no rows": (edit(lambda table: table[:0]), "no rows"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_tables_are_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    damage, said = DAMAGE[kind]
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    damage(b)
    with pytest.raises(ResultError, match=said):
        compare(a, b)


@pytest.mark.parametrize("change", [
    edit(lambda table: table.assign(pose_error=table["pose_error"] + 0.001)),
    edit(lambda table: table.assign(pose_error="text")),
    edit(lambda table: table.drop(columns="pose_error")),
    edit(lambda table: table.assign(pose_error=np.nan)),
])  # fmt: skip
def test_rows_that_do_not_give_the_value_are_not_compared(change: Callable[[Path], None], tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    change(b)
    records = by_metric(compare(a, b))
    assert records["pose_error"].verdict == "refused"
    assert records["id_similarity"].verdict == "equivalent"


def test_a_result_without_samples_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"samples\.parquet"):
        load(write_run(tmp_path / "a") / "result.json")


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e99", "1_0", "%", "٣"])
def test_margins_are_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="no margin"):
        Margin.parse(text)


@pytest.mark.slow
def test_a_table_seldom_sees_differences_that_are_not_there(tmp_path: Path) -> None:
    """Of 60 pairs of runs of one model with other noise in each, few are called better or worse by any metric."""
    called = 0
    for seed in range(60):
        runs = [write_run(tmp_path / name, noise=0.5, seed=2 * seed + i) for i, name in enumerate("ab")]
        verdicts = {record.verdict for record in compare(*runs).differences}
        called += bool(verdicts & {"better", "worse"})
    assert called <= 7  # 3 are expected at 5 %; more than 7 happen in 1 of 100
