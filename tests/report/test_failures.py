"""What the page says of models that failed: on some pairs, on most, or altogether."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fsbench import report, results
from fsbench.report.run import RunContents, read
from fsbench.report.tables import counts_of
from fsbench.report.verdict import sentences
from fsbench.results import ModelRecord, Value
from fsbench.stats.ranking import ranking

LOW, HIGH = "gan_mask", "other"
TWO = {"copy_target": 0.0, LOW: 0.3, HIGH: 0.9}


def changed(run: RunContents, model: str, failed: Mapping[str, int], error: str = "") -> RunContents:
    """The same run, in which a model failed on some pairs."""
    n = sum(failed.values())

    def of(value: Value) -> Value:
        if value.model != model:
            return value
        return value.model_copy(update={"n_failed": n, "n_scored": value.n_total - n, "value_of_scored": 0.987})

    def record(one: ModelRecord) -> ModelRecord:
        return one.model_copy(update={"failures": dict(failed), "error": error}) if one.name == model else one

    models = tuple(record(one) for one in run.result.models)
    values = tuple(of(value) for value in run.result.values if not (error and value.model == model))
    ranks = ranking(values, models, run.result.judges, run.result.metrics)
    updated = {"models": models, "values": values, "ranking": ranks}
    return replace(run, result=run.result.model_copy(update=updated))


@pytest.fixture
def run(make_run: Callable[..., Path]) -> RunContents:
    return read(make_run(models=TWO))


def text(run: RunContents) -> str:
    return " ".join(sentences(run)).replace("\N{NO-BREAK SPACE}", " ")


def total(run: RunContents) -> int:
    return run.result.find(HIGH, "id_similarity")[0].n_total


def test_without_failures_the_better_one_is_called_better(run: RunContents) -> None:
    assert f"{HIGH} is better than {LOW}" in text(run)
    assert "failed" not in text(run)


@pytest.mark.parametrize(("share", "said"), [(0.05, True), (0.2, True), (0.3, False), (0.6, False), (0.98, False)])
def test_better_is_not_said_of_who_failed_on_many(run: RunContents, share: float, said: bool) -> None:
    n = int(share * total(run))
    found = text(changed(run, HIGH, {"no_face": n}))
    assert (f"{HIGH} is better than" in found) is said
    assert f"{HIGH} failed on {n} of" in found
    assert ("it is not called better" in found) is not said
    assert f"{LOW} failed" not in found


@pytest.mark.parametrize(("failing", "relation"), [(LOW, "better"), (HIGH, "unknown")])
def test_the_other_one_may_be_better_than_who_failed(run: RunContents, failing: str, relation: str) -> None:
    broken = changed(run, failing, {"no_face": int(0.4 * total(run))})
    (found,) = broken.compare([(HIGH, LOW, broken.columns[0])])
    assert found.relation == relation
    assert ("failed on too many pairs" in found.reason) is (failing == HIGH)


def test_who_failed_on_most_stands_last_with_the_reason(run: RunContents) -> None:
    n = int(0.98 * total(run))
    failing = changed(run, HIGH, {"missing": n - 1, "unreadable": 1})
    assert [rank.model for rank in failing.result.ranking.ranks] == [LOW, HIGH]
    page = report.html(failing)
    assert f"{HIGH} has no rank: it failed on {n} of {total(run)} pairs." in page
    assert f"{n - 1} without an output, 1 with an unreadable output" in page
    assert "0.987 without them" in page


def test_a_model_that_raised_is_a_row_with_its_reason(run: RunContents) -> None:
    broken = changed(run, HIGH, {}, error="ValueError: <b>nothing</b>")
    page = report.html(broken)
    assert f"{HIGH} failed: ValueError: &lt;b&gt;nothing&lt;/b&gt;." in page
    assert "the model failed" in page
    assert "<b>nothing" not in page


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"n_scored": 9, "n_total": 9}, ""),
        ({"n_scored": 7, "n_total": 9}, "7 of 9 scored"),
        ({"n_scored": 7, "n_total": 9, "n_failed": 2}, "2 of 9 failed"),
        ({"n_scored": 6, "n_total": 9, "n_failed": 2, "value_of_scored": -0.5},
         "2 of 9 failed, \N{MINUS SIGN}0.50 without them, 6 of 9 scored"),
    ],
)  # fmt: skip
def test_counts_beside_a_value(counts: dict[str, float], said: str) -> None:
    assert counts_of(Value(model="m", metric="k", value=0.1, n_clusters=1, **counts), 2) == said


def test_unused_files_are_named_and_counted(run: RunContents) -> None:
    unused = (results.UnusedRecord(where="toolA", reason="not an image", files=("a.txt", "<i>.md")),)
    page = report.html(replace(run, result=run.result.model_copy(update={"unused": unused})))
    assert "toolA: not an image" in page
    assert "2 files: a.txt, &lt;i&gt;.md" in page


def test_intervals_over_people_say_so(run: RunContents) -> None:
    assert "over target people" not in report.html(run)
    values = tuple(value.model_copy(update={"resampled": "people"}) for value in run.result.values)
    assert "over target people" in report.html(replace(run, result=run.result.model_copy(update={"values": values})))
