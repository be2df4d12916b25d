"""The headline: where models stand among each other, over the judges that none of them was trained against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fsbench.results import JudgeRecord, ModelRecord, Rank, RankingRecord, Value

METRIC = "id_similarity"  # more is better
CONTESTANTS = ("trained", "loaded", "ready", "precomputed")
WANTED = 2
"""Judges: one alone may like a model for reasons of its own."""

ADVISED = {  # families to ask when there are too few judges, the easiest to get first
    "sface": "fsbench weights fetch sface, then add onnx(sface) to --judges",
    "facenet": "fsbench weights fetch facenet_vggface2, then add facenet_vggface2 to --judges",
    "dlib": "add dlib_resnet to --judges",
}


def ranking(values: Sequence[Value], models: Sequence[ModelRecord], judges: Sequence[JudgeRecord]) -> RankingRecord:
    """Mean rank of each contestant by `id_similarity`, over the judges that no contestant was trained against.

    Baselines and the ceiling take no part. An output that could not be scored, because no face was found in it,
    counts as a stranger's: as the judge's mean impostor cosine, or as the model's own mean where that is lower. Else
    whoever destroys the hard faces would stand first. A judge that could score no contestant does not count either; one
    that could score some ranks those, and a contestant that a counting judge could not score has no mean and stands
    last.
    """
    contestants = [model for model in models if model.kind in CONTESTANTS]
    names = [model.name for model in contestants]
    scores = {judge.name: _scores(values, names, judge) for judge in judges}
    places = {name: _places(found) for name, found in scores.items()}
    left_out = {}
    for judge in judges:
        pupils = [model.name for model in contestants if judge.family in model.coaches]
        if pupils:
            left_out[judge.name] = f"{' and '.join(pupils)} trained against it"
        elif not scores[judge.name]:
            left_out[judge.name] = f"no contestant has {METRIC} under it"
    counting = tuple(judge.name for judge in judges if judge.name not in left_out)
    ranks = [
        Rank(
            model=name,
            mean=_mean([places[judge].get(name) for judge in counting]),
            by_judge={judge.name: places[judge.name].get(name) for judge in judges},
        )
        for name in names
    ]
    return RankingRecord(
        metric=METRIC,
        judges=counting,
        left_out=left_out,
        ranks=tuple(sorted(ranks, key=lambda rank: (rank.mean is None, rank.mean))),
        advice=_advice(contestants, judges, counting) if any(scores.values()) else "",
    )


def _scores(values: Sequence[Value], names: Sequence[str], judge: JudgeRecord) -> dict[str, float]:
    """What a judge says of the contestants that it could score, lost faces counted as strangers'."""
    stranger = judge.calibration.impostor_mean if judge.calibration is not None else 0.0
    return {
        value.model: value.value + (min(stranger, value.value) - value.value) * (1 - value.n_scored / value.n_total)
        for value in values
        if value.metric == METRIC and value.judge == judge.name and value.model in names and value.value is not None
    }


def _places(scores: Mapping[str, float]) -> dict[str, float]:
    """1 for the highest; ties share the mean of their places."""
    all_of_them = np.array(list(scores.values()))
    return {
        name: float((all_of_them > score).sum() + ((all_of_them == score).sum() + 1) / 2)
        for name, score in scores.items()
    }


def _mean(places: Sequence[float | None]) -> float | None:
    found = [place for place in places if place is not None]
    return sum(found) / len(found) if found and len(found) == len(places) else None


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
