from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from fsbench import results
from fsbench.errors import ResultError

OLD = Path(__file__).parent / "old_results"


@pytest.mark.parametrize(("number", "similarity"), [(1, 0.88266), (2, 0.81314), (3, 0.80973), (4, 0.82270)])
def test_files_of_every_schema_still_load(number: int, similarity: float) -> None:
    result = results.load(OLD / f"schema_{number}.json")
    assert result.schema_number == results.SCHEMA
    assert result.find("copy_target", "id_similarity")[0].value == pytest.approx(similarity, abs=1e-5)


def test_failures_of_schema_4_are_read() -> None:
    result = results.load(OLD / "schema_4.json")
    assert [model.failures for model in result.models[-2:]] == [{"no_face": 26}, {"no_face": 93}]
    (value,) = result.find("gan_mask", "id_similarity")
    assert (value.n_scored, value.n_failed, value.n_total) == (74, 26, 100)
    assert value.value_of_scored is not None
    assert [rank.mean for rank in result.ranking.ranks] == [1, None]


def test_clips_and_differences_of_schema_5_are_read() -> None:
    result = results.load(OLD / "schema_5.json")
    assert [(record.name, record.n_pairs, record.n_clips) for record in result.protocol.sets] == [
        ("stills", 20, 0),
        ("clips", 32, 4),
    ]
    (value,) = result.find("gan_mask", "residual_acceleration")
    assert (value.set, value.stage, value.n_total) == ("clips", "crop", 4)
    assert {metric.name: metric.sample for metric in result.metrics}["residual_acceleration"] == "clip"
    assert {difference.set for difference in result.differences} == {"stills", "clips"}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_metrics_of_old_files_have_groups(number: int) -> None:
    groups = {metric.name: metric.group for metric in results.load(OLD / f"schema_{number}.json").metrics}
    assert groups["id_similarity"] == "identity"
    assert groups["gt_psnr"] == "truth"


def test_there_is_a_fixture_for_every_schema() -> None:
    assert {path.stem for path in OLD.glob("*.json")} == {f"schema_{n}" for n in range(1, results.SCHEMA + 1)}
    assert set(results.UPGRADES) == set(range(1, results.SCHEMA))


def fixture() -> dict:
    return json.loads((OLD / "schema_1.json").read_text())


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    result = results.parse(fixture(), "fixture")
    results.save(result, tmp_path)
    assert results.load(tmp_path) == result
    assert "NaN" not in (tmp_path / "result.json").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": results.SCHEMA + 1}, "newer"),
        ({"schema": None}, "schema number"),
        ({"values": 3}, "values"),
        ({"extra": 1}, "extra"),
    ],
)
def test_other_files_are_refused_in_one_sentence(change: dict, said: str) -> None:
    with pytest.raises(ResultError, match=said):
        results.parse({**fixture(), **change}, "fixture")


def test_no_run_and_a_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no finished run"):
        results.load(tmp_path)
    (tmp_path / "result.json").write_text((OLD / "schema_1.json").read_text()[:300])
    with pytest.raises(ResultError, match="cannot be read"):
        results.load(tmp_path)


def test_a_value_is_a_finite_number_or_null() -> None:
    counts = {"model": "m", "metric": "k", "n_scored": 1, "n_total": 2, "n_clusters": 1}
    assert results.Value(value=None, **counts).value is None
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            results.Value(value=wrong, **counts)


@pytest.mark.parametrize("labels", [
    ["x" * 400 + "a", "x" * 400 + "b"],
    [f"mine(ckpt={'very/long/' * 40}{n}.pt)" for n in range(50)],
    ["a(b)", "a[b]", "a_b", "a b", "a/b"],
    ["\u738b" * 200, "\u738b" * 201, "\u738b"],
    ["(", ")", "..", "../..", "\udcff"],
])  # fmt: skip
def test_names_of_folders_are_short_and_differ(labels: list[str]) -> None:
    slugs = [results.slug(label) for label in labels]
    assert len(set(slugs)) == len(labels)
    assert all(0 < len(slug.encode()) <= 100 and "/" not in slug and slug not in (".", "..") for slug in slugs)
