"""Result files of older versions, step by step into the shape of this one.

`UPGRADES[n]` turns the JSON of schema n into that of schema n + 1; `completed` adds the facts about metrics that files
of the present schema lack where they were written before metrics had them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]


def _since_1(raw: Json) -> Json:
    """Schema 2 added the ranks over judges; what else is new has a default."""
    return {**raw, "ranking": {"metric": "id_similarity", "judges": (), "left_out": {}, "ranks": (), "advice": ""}}


def _since_2(raw: Json) -> Json:
    """Schema 3 sorted metrics into groups and named the networks that look at images; what else is new has a default.

    Until then all but the comparisons with the exact swap were about identity.
    """
    grouped = [{**metric, "group": "truth" if metric["name"].startswith("gt_") else "identity"}
               for metric in raw["metrics"]]  # fmt: skip
    return {**raw, "metrics": grouped, "observers": ()}


def _since_3(raw: Json) -> Json:
    """Schema 4 counts failures of models and names files that were not used; what is new has a default."""
    return raw


def _since_4(raw: Json) -> Json:
    """Schema 5 names the evaluation set and the stage of values, and has metrics of clips; until then all was stills.

    What the protocol called its stage said where outputs come from.
    """
    protocol = dict(raw["protocol"])
    moved = {name: protocol.pop(name) for name in ("pairing", "n_pairs", "targets") if name in protocol}
    first = {"name": "stills", **moved}
    return {**raw, "protocol": {**protocol, "stage": "crop", "outputs": protocol["stage"], "sets": (first,)}}


UPGRADES: Mapping[int, Callable[[Json], Json]] = {1: _since_1, 2: _since_2, 3: _since_3, 4: _since_4}

FACTS: Mapping[str, Json] = {
    "id_similarity": {"headline": True, "summary_rank": 10},
    "id_nearer_source": {
        "summary_rank": 20,
        "verdict": "{value} of its outputs are nearer to the source than to the target",
    },
    "id_retrieval": {"summary_rank": 30},
    "kid": {"summary_rank": 40},
    "pose_error": {"summary_rank": 50},
    "opening_error": {"summary_rank": 60},
    "skin_colour": {"summary_rank": 70},
    "gt_lpips": {"summary_rank": 80},
    "gt_psnr": {"summary_rank": 90},
    "gt_ssim": {"summary_rank": 100},
    "id_verified": {"summary_rank": 110, "verification_rank": 20},
    "id_target_verified": {"summary_rank": 120, "verification_rank": 40},
    "id_equivalent_far": {"summary_rank": 130, "verification_rank": 10},
    "id_verified_strict": {"verification_rank": 30},
    "id_target_verified_strict": {"verification_rank": 50},
}
"""Facts about metrics that result files did not hold at first. History: a metric that is added has its own."""


def completed(raw: Json) -> Json:
    """Add FACTS to the metrics of a file in which no metric has them.

    A file that is written today has `headline` for every metric, so that nothing of it is touched.
    """
    if any("headline" in metric for metric in raw["metrics"]):
        return raw
    return {**raw, "metrics": [{**metric, **FACTS.get(metric["name"], {})} for metric in raw["metrics"]]}
