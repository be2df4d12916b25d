from __future__ import annotations

from itertools import permutations

import pytest

from fsbench.results import JudgeRecord, MetricRecord, ModelRecord, RankingRecord, TrainingRecord, Value
from fsbench.stats import ranking


def model(name: str, kind: str = "trained", coaches: tuple[str, ...] = ()) -> ModelRecord:
    training = TrainingRecord(budget="short", steps=1, seconds=1, device="cpu", coaches=coaches)
    return ModelRecord(
        name=name, spec=name, summary="", kind=kind, training=training if kind == "trained" else None, coaches=coaches
    )


def judge(name: str, family: str) -> JudgeRecord:
    return JudgeRecord(name=name, family=family, description="", dim=2, version=1, weights={})


DLIB, FACENET, SFACE = judge("dlib_resnet", "dlib"), judge("facenet_casia", "facenet"), judge("onnx(sface)", "sface")


def values(judge: JudgeRecord, **scores: float | None) -> list[Value]:
    counts = {"n_scored": 1, "n_total": 1, "n_clusters": 1}
    return [
        Value(model=name, metric=metric, judge=judge.name, value=score if metric == "id_similarity" else -1, **counts)
        for name, score in scores.items()
        for metric in ("id_leakage", "id_similarity")
    ]


def metric(name: str, direction: str = "higher", headline: bool = True, summary_rank: int = 0) -> MetricRecord:
    return MetricRecord(name=name, summary="", unit="", direction=direction, digits=3, no_face="", reference="",
                        group="identity", headline=headline, summary_rank=summary_rank)  # fmt: skip


METRICS = [metric("id_leakage", headline=False), metric("id_similarity", summary_rank=10)]


def ranked(
    values: list[Value], models: list[ModelRecord], judges: list[JudgeRecord], metrics: list[MetricRecord] = METRICS
) -> RankingRecord:
    return ranking.ranking(values, models, judges, metrics)


def means(record: RankingRecord) -> list[tuple[str, float | None]]:
    return [(rank.model, rank.mean) for rank in record.ranks]


MODELS = [model("a"), model("b", "loaded"), model("c", "ready"), model("copy", "baseline"), model("exact", "ceiling")]


def test_the_mean_rank_over_judges() -> None:
    said = values(DLIB, a=0.9, b=0.8, c=0.7, copy=0.99) + values(SFACE, a=0.2, b=0.3, c=0.1, exact=0.95)
    found = ranked(said, MODELS, [DLIB, SFACE])
    assert means(found) == [("a", 1.5), ("b", 1.5), ("c", 3)]
    assert found.ranks[0].by_judge == {"dlib_resnet": 1, "onnx(sface)": 2}
    assert (found.judges, found.left_out, found.advice) == (("dlib_resnet", "onnx(sface)"), {}, "")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_best_comes_first_whatever_the_order(order: tuple[int, ...]) -> None:
    said = values(DLIB, a=0.7, b=0.8, c=0.9) + values(SFACE, a=0.1, b=0.2, c=0.3)
    found = ranked(said[::-1], [MODELS[i] for i in order], [SFACE, DLIB])
    assert means(found) == [("c", 1), ("b", 2), ("a", 3)]


def test_ties_share_the_mean_of_their_places() -> None:
    found = ranked(values(DLIB, a=0.5, b=0.9, c=0.5), MODELS, [DLIB])
    assert means(found) == [("b", 1), ("a", 2.5), ("c", 2.5)]
    assert sum(rank.mean or 0 for rank in found.ranks) == 1 + 2 + 3


def test_a_coach_of_any_contestant_does_not_count_but_is_shown() -> None:
    models = [model("a", coaches=("facenet",)), model("b", "ready")]
    said = values(DLIB, a=0.1, b=0.2) + values(FACENET, a=0.9, b=0.2) + values(SFACE, a=0.1, b=0.2)
    found = ranked(said, models, [DLIB, FACENET, SFACE])
    assert means(found) == [("b", 1), ("a", 2)]
    assert found.judges == ("dlib_resnet", "onnx(sface)")
    assert found.left_out == {"facenet_casia": "a trained against it"}
    assert found.ranks[1].by_judge["facenet_casia"] == 1


def test_the_coach_of_a_baseline_counts() -> None:
    taught = ModelRecord(
        name="teacher", spec="teacher", summary="", kind="baseline",
        training=TrainingRecord(budget="short", steps=1, seconds=1, device="cpu", coaches=("dlib",)),
    )  # fmt: skip
    assert ranked(values(DLIB, a=0.1), [model("a"), taught], [DLIB]).judges == ("dlib_resnet",)


def test_what_a_judge_could_not_score_has_no_mean_and_stands_last() -> None:
    said = values(DLIB, a=None, b=0.2, c=0.1) + values(SFACE, a=0.9, b=0.2, c=0.1)
    found = ranked(said, MODELS, [DLIB, SFACE])
    assert means(found) == [("b", 1.5), ("c", 2.5), ("a", None)]
    assert found.ranks[2].by_judge == {"dlib_resnet": None, "onnx(sface)": 1}


def of_all(name: str, value: float | None, scored: int, failed: int, total: int = 100) -> Value:
    return Value(
        model=name,
        metric="id_similarity",
        judge=DLIB.name,
        value=value,
        n_scored=scored,
        n_total=total,
        n_clusters=4,
        n_failed=failed,
    )


@pytest.mark.parametrize(
    ("scored", "failed", "placed"),
    [(50, 50, True), (49, 51, False), (2, 98, False), (0, 100, False), (30, 20, True), (2, 0, True), (1, 9, False)],
)
def test_who_failed_on_most_pairs_has_no_place(scored: int, failed: int, placed: bool) -> None:
    found = ranked(
        [of_all("careless", 0.95, scored, failed), of_all("careful", 0.5, 100, 0)],
        [model("careless"), model("careful")],
        [DLIB],
    )
    assert means(found) == ([("careless", 1), ("careful", 2)] if placed else [("careful", 1), ("careless", None)])
    last = found.ranks[-1]
    assert last.reason == ("" if placed else f"it failed on {failed} of {scored + failed} pairs")


def test_a_model_without_a_value_stands_last_with_its_reason() -> None:
    failed = model("a").model_copy(update={"error": "ValueError: nothing there"})
    nothing = of_all("b", None, 0, 100).model_copy(update={"reason": "the model failed on every pair"})
    found = ranked([nothing, of_all("c", 0.1, 100, 0)], [failed, model("b"), model("c")], [DLIB])
    assert [(rank.model, rank.reason) for rank in found.ranks] == [
        ("c", ""),
        ("a", "ValueError: nothing there"),
        ("b", "the model failed on every pair"),
    ]


def test_a_judge_that_tells_nobody_apart_does_not_count() -> None:
    blind = SFACE.model_copy(update={"unfit": "it cannot tell people apart"})
    found = ranked(values(DLIB, a=0.1, b=0.2) + values(blind, a=0.9, b=0.2), [model("a"), model("b")], [DLIB, blind])
    assert (found.judges, found.left_out) == (("dlib_resnet",), {"onnx(sface)": "it cannot tell people apart"})
    assert means(found) == [("b", 1), ("a", 2)]
    assert found.advice.startswith("dlib_resnet is the only judge that counts")


def test_two_judges_of_one_family_are_one_opinion() -> None:
    twin = judge("onnx(other)", "dlib")
    record = ranked(values(DLIB, a=0.1) + values(twin, a=0.2), [model("a")], [DLIB, twin])
    assert record.judges == ("dlib_resnet", "onnx(other)")
    assert record.advice.startswith("dlib_resnet and onnx(other) are of one family")


def test_a_judge_that_could_score_nobody_does_not_count() -> None:
    said = values(DLIB, a=None, b=None, c=None) + values(SFACE, a=0.3, b=0.2, c=0.1)
    found = ranked(said, MODELS, [DLIB, SFACE])
    assert found.judges == ("onnx(sface)",)
    assert found.left_out == {"dlib_resnet": "no contestant has id_similarity under it"}
    assert means(found) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize(
    ("judges", "coaches", "said"),
    [
        ([DLIB], (), "dlib_resnet is the only judge that counts, two or more of different families are wanted: "
                     "fsbench weights fetch sface, then add onnx(sface) to --judges"),
        ([SFACE], (), "then add facenet_vggface2 to --judges"),
        ([SFACE, FACENET], ("facenet",), "add dlib_resnet to --judges"),
        ([DLIB], ("sface",), "then add facenet_vggface2 to --judges"),
        ([FACENET], ("facenet", "sface"), "are wanted: add dlib_resnet to --judges"),
        ([SFACE, DLIB], ("facenet", "dlib"), "name one with --judges"),
    ],
)  # fmt: skip
def test_too_few_judges_are_told_with_the_command_that_adds_one(
    judges: list[JudgeRecord], coaches: tuple[str, ...], said: str
) -> None:
    scores = [value for one in judges for value in values(one, a=0.1)]
    assert ranked(scores, [model("a", coaches=coaches)], judges).advice.endswith(said)


def test_without_contestants_there_is_nothing_to_rank() -> None:
    found = ranked(values(DLIB, copy=0.1, exact=0.9), MODELS[3:], [DLIB])
    assert (found.ranks, found.judges, found.advice) == ((), (), "")


def test_without_a_value_of_the_metric_nobody_has_a_rank() -> None:
    found = ranked([], MODELS, [DLIB])
    assert means(found) == [("a", None), ("b", None), ("c", None)]
    assert (found.judges, found.advice) == ((), "")


def test_a_run_without_a_headline_metric_has_no_ranks() -> None:
    found = ranked(values(DLIB, a=0.1, b=0.2), MODELS, [DLIB], METRICS[:1])
    assert (found.metric, found.judges, found.left_out, found.ranks, found.advice) == ("", (), {}, (), "")


@pytest.mark.parametrize(
    ("others", "first"),
    [
        ([], "id_similarity"),
        ([metric("a_likeness")], "id_similarity"),  # no place in the summary: behind all that have one
        ([metric("a_likeness", summary_rank=11)], "id_similarity"),
        ([metric("z_likeness", summary_rank=9)], "z_likeness"),
        ([metric("a_likeness", summary_rank=10)], "a_likeness"),
    ],
)
def test_of_several_headline_metrics_one_ranks_in_whatever_order_they_are_named(
    others: list[MetricRecord], first: str
) -> None:
    for order in permutations([*METRICS, *others]):
        assert ranked(values(DLIB, a=0.1, b=0.2), MODELS[:2], [DLIB], list(order)).metric == first


def test_a_headline_may_be_a_distance() -> None:
    scores = [value.model_copy(update={"metric": "distance"}) for value in values(DLIB, a=0.1, b=0.3, c=0.1)]
    found = ranked([value for value in scores if value.value != -1], MODELS, [DLIB], [metric("distance", "lower")])
    assert means(found) == [("a", 1.5), ("c", 1.5), ("b", 3)]
