"""Where a metric stands in a report is a fact about the metric, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsbench import registry, report, results
from fsbench.harness import records
from fsbench.interfaces import MetricInfo
from fsbench.report import tables
from fsbench.report.run import RunContents, read
from fsbench.report.verdict import sentences
from fsbench.results import MetricRecord, RunResult

MakeRun = Callable[..., Path]
OLD = Path(__file__).parents[1] / "old_results"


def with_facts(run: RunContents, facts: dict[str, dict[str, object]]) -> RunContents:
    """Give metrics other facts; those that are not named keep theirs."""
    metrics = tuple(metric.model_copy(update=facts.get(metric.name, {})) for metric in run.result.metrics)
    return replace(run, result=run.result.model_copy(update={"metrics": metrics}))


def keys(table: tables.ScoreTable) -> list[str]:
    return [head.column.key for head in table.heads]


def test_a_place_in_the_summary(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read(make_run(judges=("one", "two")))
    told = {"id_target_verified": {"summary_rank": 1}, "id_nearer_source": {"summary_rank": 0}}
    shown = keys(tables.summary(with_facts(run, told)))
    assert shown == ["id_similarity@one", "id_similarity@two", "id_target_verified@one", "pose_error"]
    monkeypatch.setattr(tables, "ROOM", 0)
    assert "pose_error" in keys(tables.summary(run))
    assert "pose_error" not in keys(tables.summary(with_facts(run, {"pose_error": {"summary_rank": 0}})))


def test_two_headline_metrics_and_none(make_run: MakeRun) -> None:
    run = read(make_run(judges=("one", "two")))
    both = with_facts(run, {"id_nearer_source": {"headline": True, "summary_rank": 9}})
    assert keys(tables.summary(both))[:4] == [
        "id_similarity@one", "id_similarity@two", "id_nearer_source@one", "id_nearer_source@two"]  # fmt: skip
    assert both.headline is not None
    assert both.headline.key == "id_similarity@one"
    none = with_facts(run, {"id_similarity": {"headline": False, "summary_rank": 0}})
    unranked = results.RankingRecord(metric="", judges=(), left_out={}, ranks=())
    none = replace(none, result=none.result.model_copy(update={"ranking": unranked}))
    assert keys(tables.summary(none)) == ["id_nearer_source@one", "id_target_verified@one", "pose_error"]
    assert "Contestants by" not in report.html(none)


def test_the_table_of_verification(make_run: MakeRun) -> None:
    run = with_facts(read(make_run()), {"id_similarity": {"verification_rank": 7}})
    likeness, accepted = tables.of_judge(run, run.judges[0].name)
    judge = run.judges[0].name
    assert keys(accepted) == [f"id_target_verified@{judge}", f"id_similarity@{judge}"]
    assert keys(likeness) == [f"id_nearer_source@{judge}"]


def test_a_metric_has_a_sentence_in_the_verdict(make_run: MakeRun) -> None:
    text = "{value} off <b>{value.__class__}</b> {0}"
    run = with_facts(read(make_run()), {"pose_error": {"verdict": text, "digits": 1}})
    first = next(line for line in sentences(run) if line.startswith("gan_mask reaches"))
    assert "\N{NO-BREAK SPACE}% of its outputs are nearer." in first
    assert "\N{NO-BREAK SPACE}degrees off <b>{value.__class__}</b> {0}." in first
    assert "off &lt;b&gt;" in report.html(run)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"headline": True}, "needs a judge"),
        ({"summary_rank": -1}, "not negative"),
        ({"verification_rank": -3}, "not negative"),
        ({"verdict": "it is good"}, "no {value}"),
    ],
)
def test_facts_that_make_no_sense_are_refused(facts: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        MetricInfo("", "higher", (0, 1), (), "scored", "nowhere", **facts)


def built_in() -> dict[str, MetricInfo]:
    """Facts of the metrics that have them before they are built, which are all but a few."""
    facts = {name: getattr(registry.metrics.get(name).factory, "info", None) for name in registry.metrics.names()}
    return {name: info for name, info in facts.items() if isinstance(info, MetricInfo)}


@pytest.mark.parametrize("place", ["summary_rank", "verification_rank"])
def test_places_of_built_in_metrics_differ(place: str) -> None:
    """A variant that inherits the facts of another metric has to have a place of its own, or none."""
    places = [getattr(info, place) for info in built_in().values() if getattr(info, place)]
    assert len(places) > 4
    assert len(set(places)) == len(places)


def test_old_files_are_given_the_facts_that_these_metrics_have() -> None:
    infos = built_in()
    shown = set()
    for path in OLD.glob("*.json"):
        for metric in results.load(path).metrics:
            for fact in ("headline", "summary_rank", "verification_rank", "verdict"):
                if metric.name in infos:
                    assert getattr(metric, fact) == getattr(infos[metric.name], fact), (path, metric.name, fact)
                    shown |= {fact} if getattr(metric, fact) else set()
    assert shown == {"headline", "summary_rank", "verification_rank", "verdict"}


def test_a_file_that_has_the_facts_is_left_alone() -> None:
    raw = results.load(OLD / "schema_2.json").model_dump(mode="json", by_alias=True)
    for metric in raw["metrics"]:
        metric |= {"headline": False, "summary_rank": 3, "verdict": ""}
    result: RunResult = results.parse(raw, "here")
    assert {(metric.headline, metric.summary_rank, metric.verdict) for metric in result.metrics} == {(False, 3, "")}


def test_a_record_has_every_field_of_the_metric_that_it_knows() -> None:
    info = MetricInfo(
        unit="%", direction="lower", bounds=(0, 1), needs=("judge",), no_face="lost", reference="here", group="truth",
        checked_by="y", digits=7, interval="none", version=4, headline=True, summary_rank=5,
        verification_rank=6, verdict="{value} left",
    )  # fmt: skip

    class Odd:
        """An odd metric.

        More of it.
        """

    Odd.info = info  # type: ignore[attr-defined]
    record = records.metric_record("odd", Odd(), None)  # type: ignore[arg-type]
    shared = set(MetricRecord.model_fields) & set(vars(info)) - {"weights"}
    assert len(shared) > 12
    assert {field: getattr(record, field) for field in shared} == {field: getattr(info, field) for field in shared}
    assert (record.name, record.summary, record.weights) == ("odd", "An odd metric.", {})
    assert records.metric_record("odd", Odd(), 0.02).digits == 2  # type: ignore[arg-type]
