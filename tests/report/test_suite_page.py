"""Answers of experiments, from runs of which every difference is known, and the page with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fsbench import results, suites
from fsbench.compare import PairedComparison
from fsbench.config import Experiment, Plan
from fsbench.report import suite
from fsbench.results import DifferenceRecord, RunResult
from fsbench.stats.resampling import Spread
from fsbench.suites import ExperimentRecord, SuiteResult

MODELS = {"copy_target": 0.0, "x": 0.5, "y": 0.52, "z": 0.9}
Known = tuple[float, float]
"""Effect of the first model less the second, and p-value."""


@pytest.fixture
def folder(make_run: Callable[..., Path]) -> Path:
    return make_run(models=MODELS)


def known(result: RunResult, by_pair: Mapping[tuple[str, str, str], Known], spread: Spread) -> RunResult:
    """The same with these differences alone, by model, other and metric."""
    judges = {metric: "toy_judge" if metric.startswith("id_") else None for _, _, metric in by_pair}
    records = tuple(
        DifferenceRecord(
            model=model, other=other, metric=metric, judge=judges[metric], n=9, effect=effect, p=p,
            low=effect - spread.margin(0.05), high=effect + spread.margin(0.05), detectable=spread.detectable(),
            degrees_of_freedom=spread.degrees_of_freedom,
        )
        for (model, other, metric), (effect, p) in by_pair.items()
    )  # fmt: skip
    return result.model_copy(update={"differences": records})


def told(result: RunResult, baseline: str = "x") -> dict[tuple[str, str], PairedComparison]:
    compared = suites.compare(result, baseline, named=True)
    return {(one.pair.model, one.pair.metric): one for one in compared}


def test_the_direction_of_metrics_decides_what_is_better(folder: Path) -> None:
    by_pair = {
        ("x", "y", "id_similarity"): (0.2, 0.001),  # the baseline stands first: y has less
        ("y", "x", "pose_error"): (-0.5, 0.001),  # less is better
        ("x", "z", "id_similarity"): (0.001, 0.9),
    }
    result = known(results.load(folder), by_pair, Spread(0.01, 8))
    compared = told(result)
    assert compared["y", "id_similarity"].relation == "worse"
    assert compared["y", "pose_error"].relation == "better"
    assert compared["z", "id_similarity"].relation == "unclear"
    assert compared["z", "pose_error"].relation == "unknown"
    lines = suites.sentences(result, "x", suites.compare(result, "x", named=True))
    first, second = (line.replace("\N{NO-BREAK SPACE}", " ") for line in lines)
    assert first.startswith("y against x: better by pose_error (0.50 degrees [0.48, 0.52], ")
    assert "; worse by id_similarity under toy_judge (0.200 [0.177, 0.223], " in first
    assert "nothing is said by" in first
    assert second.startswith("z against x: no difference detectable at this size by id_similarity under toy_judge (")
    assert "−0.001 [−0.024, 0.022]" in second
    assert "(below 0 is worse)" in second
    assert "below 0" not in first


def test_all_comparisons_of_an_experiment_are_corrected_together(folder: Path) -> None:
    metrics, spread = ("id_similarity", "pose_error", "id_nearer_source"), Spread(0.01, 8)
    by_pair = {(model, "x", metric): (0.03, 0.02) for model in ("y", "z") for metric in metrics}
    result = known(results.load(folder), by_pair, spread)
    compared = [one for one in told(result).values() if one.p is not None]
    assert [one.p for one in compared] == pytest.approx([0.12] * 6)
    for one in compared:
        assert one.relation == "unclear"
        assert one.difference is not None
        assert one.difference.detectable == pytest.approx(spread.detectable(0.05 / 6))
    assert "corrected p 0.12" in suites.sentences(result, "x", compared)[0]  # its interval alone leaves 0 out
    alone = told(known(results.load(folder), dict([next(iter(by_pair.items()))]), spread))["y", "id_similarity"]
    assert alone.relation == "better"
    assert alone.difference is not None
    assert alone.difference.detectable == pytest.approx(spread.detectable())


def test_a_judge_says_nothing_of_its_pupils(folder: Path) -> None:
    result = known(results.load(folder), {("y", "x", "id_similarity"): (0.3, 0.0001)}, Spread(0.01, 8))
    pupils = tuple(m.model_copy(update={"coaches": ("toy",)} if m.name == "y" else {}) for m in result.models)
    comparison = told(result.model_copy(update={"models": pupils}))["y", "id_similarity"]
    assert (comparison.relation, comparison.reason) == ("unknown", "y trained against toy_judge")
    trained = result.models[-1].training
    assert trained is not None
    pupils = tuple(
        m.model_copy(update={"training": trained.model_copy(update={"coaches": ("toy",)})} if m.name == "x" else {})
        for m in result.models
    )
    comparison = told(result.model_copy(update={"models": pupils}))["y", "id_similarity"]
    assert (comparison.relation, comparison.reason) == ("unknown", "x trained against toy_judge")


def test_nothing_is_said_under_an_unfit_judge(folder: Path) -> None:
    result = results.load(folder)
    judges = tuple(judge.model_copy(update={"unfit": "it is blind"}) for judge in result.judges)
    result = result.model_copy(update={"judges": judges})
    compared = suites.compare(result, "x", named=True)
    assert {one.pair.judge for one in compared} == {None}
    assert "Nothing is said under toy_judge: it is blind." in suites.sentences(result, "x", compared)


def test_a_model_that_failed_and_a_baseline_alone_are_told(folder: Path) -> None:
    result = results.load(folder)
    failed = tuple(m.model_copy(update={"error": "no memory"} if m.kind == "trained" and m.name != "x" else {})
                   for m in result.models)  # fmt: skip
    result = result.model_copy(update={"models": failed})
    lines = suites.sentences(result, "x", suites.compare(result, "x", named=True))
    assert lines == [
        "Nothing is compared with x: no other model was trained or loaded and measured.",
        "y failed: no memory.",
        "z failed: no memory.",
    ]


def test_of_a_baseline_that_failed_nothing_is_said(folder: Path) -> None:
    result = results.load(folder)
    failed = tuple(m.model_copy(update={"error": "no memory" if m.name == "x" else ""}) for m in result.models)
    values = tuple(value for value in result.values if value.model != "x")
    differences = tuple(record for record in result.differences if "x" not in (record.model, record.other))
    result = result.model_copy(update={"models": failed, "values": values, "differences": differences})
    compared = suites.compare(result, "x", named=True)
    assert {(one.relation, one.reason) for one in compared} == {("unknown", "x failed")}
    assert "x failed: no memory." in suites.sentences(result, "x", compared)


def test_metrics_that_nobody_named_answer_if_they_are_of_the_summary(folder: Path) -> None:
    result = results.load(folder)
    changes = {"pose_error": {"summary_rank": 0, "headline": False}}
    metrics = tuple(metric.model_copy(update=changes.get(metric.name, {})) for metric in result.metrics)
    result = result.model_copy(update={"metrics": metrics})
    few, named = ({one.pair.metric for one in suites.compare(result, "x", named=named)} for named in (False, True))
    assert named - few == {"pose_error"}


def test_the_page_shows_what_there_is(folder: Path) -> None:
    plan = Plan(models=("x", "y", "z"), metrics=("id_similarity",))
    experiment = Experiment(title="run", question="Which <one>?", plan=plan)
    done = suites.answered(experiment, results.load(folder))
    others = [
        ExperimentRecord(title="broken", folder="broken", baseline="x", error="no memory"),
        ExperimentRecord(title="waits", folder="waits", baseline="x"),
        ExperimentRecord(title="gone", folder="gone", baseline="x", finished=True, answers=("y is better.",)),
    ]
    suites.save(SuiteResult(name="notes", experiments=(done, *others)), folder.parent)
    page = suite.write(folder.parent).read_text(encoding="utf-8")
    assert page == suite.write(folder.parent).read_text(encoding="utf-8")
    assert "Which &lt;one&gt;?" in page
    assert "4 experiments, 2 of them finished, 1 failed" in page
    assert "No answer: no memory." in page
    assert "No answer: it was not run yet." in page
    assert "holds no finished run" in page
    assert "y is better." in page
    for answer in done.answers:
        assert answer in page
    assert suites.load(folder.parent).experiments[0] == done


def test_the_grid_tells_differences_in_detectable_ones(folder: Path) -> None:
    spread = Spread(0.01, 8)
    effects = {("y", "x", "id_similarity"): 0.04, ("x", "z", "id_similarity"): 0.02, ("y", "x", "pose_error"): 0.1}
    differences = known(results.load(folder), {pair: (effect, 0.01) for pair, effect in effects.items()}, spread)
    results.save(differences, folder)
    experiment = Experiment(title="run", plan=Plan(models=("x", "y", "z"), metrics=("id_similarity", "pose_error")))
    record = suites.answered(experiment, differences)
    drawn = suite.grid(SuiteResult(name="notes", experiments=(record,)), folder.parent)
    assert drawn is not None
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn["figure"])
    size = {(one.model, one.metric): one.effect / one.detectable for one in record.comparisons if one.effect}
    assert {"run: y", "run: z", "id_similarity@toy_judge", "pose_error"} <= set(texts)
    assert f"{size['y', 'id_similarity']:+.1f}" in texts  # more is better
    assert f"{size['z', 'id_similarity']:+.1f}" in texts  # worse than the baseline
    assert size["z", "id_similarity"] < 0
    assert f"{-size['y', 'pose_error']:+.1f}" in texts  # less is better
    assert texts.count("id_similarity@toy_judge") == 1
    many = suite.grid(SuiteResult(name="notes", experiments=suite.LONG * (record,)), folder.parent)
    assert many is not None
    assert many["figure"].count(">id_similarity@toy_judge<") == 2  # a long one has its heads at both ends


def test_of_one_model_there_is_no_grid(folder: Path) -> None:
    experiment = Experiment(title="run", plan=Plan(models=("x", "y")))
    record = suites.answered(experiment, results.load(folder))
    of_y = record.model_copy(update={"comparisons": tuple(one for one in record.comparisons if one.model == "y")})
    assert suite.grid(SuiteResult(name="notes", experiments=(of_y,)), folder.parent) is None
