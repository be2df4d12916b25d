"""The headline: where models stand among each other, over the judges that none of them was trained against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fsbench.results import JudgeRecord, MetricRecord, ModelRecord, Rank, RankingRecord, RunResult, Value, headlines

CONTESTANTS = ("trained", "loaded", "ready", "precomputed")
ENOUGH_ANSWERED = 0.8
"""Share of the pairs that a model must have been scored on, below which it is called better than nobody."""

MOST = 0.5
"""Share of the pairs on which a model may fail at most to have a place at all."""

WANTED = 2
"""Judges: one alone may like a model for reasons of its own."""

ADVISED = {  # families to ask when there are too few judges, the easiest to get first
    "sface": "fsbench weights fetch sface, then add onnx(sface) to --judges",
    "facenet": "fsbench weights fetch facenet_vggface2, then add facenet_vggface2 to --judges",
    "dlib": "add dlib_resnet to --judges",
}


def in_order(result: RunResult) -> list[ModelRecord]:
    """Contestants by rank, then the ceiling, the floor, and baselines."""
    place = {rank.model: i for i, rank in enumerate(result.ranking.ranks)}
    kinds = {**dict.fromkeys(CONTESTANTS, 0), "ceiling": 1, "floor": 2}
    return sorted(result.models, key=lambda model: (kinds.get(model.kind, 3), place.get(model.name, len(place))))


def ranking(
    values: Sequence[Value],
    models: Sequence[ModelRecord],
    judges: Sequence[JudgeRecord],
    metrics: Sequence[MetricRecord],
) -> RankingRecord:
    """Mean rank of each contestant by the headline metric, over the judges that no contestant was trained against.

    Of several headline metrics the first of `results.headlines` ranks; without one there are no ranks. Baselines and
    the ceiling take no part. Values are over all pairs, failures counted as the baselines' worst
    (`harness.failures`). A contestant that failed on more than half of the pairs has no place, however good the rest
    is. A judge that cannot tell real people apart does not count, nor does one that could score no contestant; one that
    could score some ranks those, and a contestant without a place under a judge that counts stands last.
    """
    metric = next(iter(headlines(metrics)), None)
    if metric is None:
        return RankingRecord(metric="", judges=(), left_out={}, ranks=())
    contestants = [model for model in models if model.kind in CONTESTANTS]
    names = [model.name for model in contestants]
    values = [value for value in values if value.metric == metric.name]
    scores = {judge.name: _scores(values, names, judge) for judge in judges}
    places = {name: _places(by_model, metric) for name, by_model in scores.items()}
    left_out = {}
    for judge in judges:
        pupils = [model.name for model in contestants if judge.family in model.coaches]
        if pupils:
            left_out[judge.name] = f"{' and '.join(pupils)} trained against it"
        elif judge.unfit:
            left_out[judge.name] = judge.unfit
        elif not scores[judge.name]:
            left_out[judge.name] = f"no contestant has {metric.name} under it"
    counting = tuple(judge.name for judge in judges if judge.name not in left_out)
    ranks = []
    for model in contestants:
        mean = _mean([places[judge].get(model.name) for judge in counting])
        ranks.append(
            Rank(
                model=model.name,
                mean=mean,
                by_judge={judge.name: places[judge.name].get(model.name) for judge in judges},
                reason=_reason(model, values, metric) if mean is None else "",
            )
        )
    return RankingRecord(
        metric=metric.name,
        judges=counting,
        left_out=left_out,
        ranks=tuple(sorted(ranks, key=lambda rank: (rank.mean is None, rank.mean))),
        advice=_advice(contestants, judges, counting) if any(scores.values()) else "",
    )


def answered(value: Value) -> float:
    """Share of the pairs that count on which a model did not fail; 1 where none counts."""
    counted = value.n_scored + value.n_failed
    return value.n_scored / counted if counted else 1.0


def _scores(values: Sequence[Value], names: Sequence[str], judge: JudgeRecord) -> dict[str, float]:
    """Values under a judge, by contestant that has a place."""
    return {
        value.model: value.value
        for value in values
        if value.judge == judge.name and value.model in names and value.value is not None and answered(value) >= MOST
    }


def _reason(model: ModelRecord, values: Sequence[Value], metric: MetricRecord) -> str:
    """Why a contestant has no place."""
    if model.error:
        return model.error
    for value in values:
        if value.model == model.name:
            if value.value is None:
                return value.reason
            if answered(value) < MOST:
                return f"it failed on {value.n_failed} of {value.n_scored + value.n_failed} pairs"
    return f"no judge that counts could score its {metric.name}"


def _places(scores: Mapping[str, float], metric: MetricRecord) -> dict[str, float]:
    """1 for the best; ties share the mean of their places."""
    everyone = np.array(list(scores.values()))
    better = np.greater if metric.direction == "higher" else np.less
    return {
        name: float(better(everyone, score).sum() + ((everyone == score).sum() + 1) / 2)
        for name, score in scores.items()
    }


def _mean(places: Sequence[float | None]) -> float | None:
    known = [place for place in places if place is not None]
    return sum(known) / len(known) if known and len(known) == len(places) else None


def _advice(contestants: Sequence[ModelRecord], judges: Sequence[JudgeRecord], counting: Sequence[str]) -> str:
    """Say how to get another judge, where there are too few."""
    families = {judge.family for judge in judges if judge.name in counting}
    if len(families) >= WANTED:
        return ""
    known = {judge.family for judge in judges}.union(*(model.coaches for model in contestants))
    remedy = next((how for family, how in ADVISED.items() if family not in known), "name one with --judges")
    if not counting:
        few = "no judge counts"
    elif len(counting) == 1:
        few = f"{counting[0]} is the only judge that counts"
    else:
        few = f"{' and '.join(counting)} are of one family"
    return f"{few}, two or more of different families are wanted: {remedy}"
