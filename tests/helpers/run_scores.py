"""Finished runs made of numbers alone: what models score on each sample is drawn, and its truth is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fsbench import results
from fsbench.comparison.scores import Rows, Scores
from fsbench.results import (
    DatasetRecord,
    JudgeRecord,
    MetricRecord,
    ModelRecord,
    ProtocolRecord,
    RankingRecord,
    RunResult,
    SetRecord,
    Value,
)
from fsbench.stats.failures import count_failures, floor_of

JUDGE = "toy_judge"
METRICS = {
    "id_similarity": ("", "higher", 3, {"headline": True, "summary_rank": 1, "group": "identity"}),
    "id_nearer_source": ("%", "higher", 1, {"summary_rank": 2, "group": "identity"}),
    "pose_error": ("degrees", "lower", 2, {"summary_rank": 3, "group": "attributes"}),
}
SCALES = {"id_similarity": (0.6, 0.1), "id_nearer_source": (0.7, 0.0), "pose_error": (4.0, 1.0)}
"""Mean over samples, and standard deviation of what sessions share."""


def records() -> list[MetricRecord]:
    return [
        MetricRecord(name=name, summary=f"Summary of {name}.", unit=unit, direction=direction, digits=digits,
                     no_face="-", reference="-", **facts)
        for name, (unit, direction, digits, facts) in METRICS.items()
    ]  # fmt: skip


def labels(people: int = 4, sessions: int = 6, images: int = 2, first: int = 0) -> pd.DataFrame:
    """Each image of a person gets each of the other people as source."""
    rows = [
        (f"p{source}", f"p{person}/s{session}/{image}", f"p{person}", f"s{session}")
        for person in range(people)
        for session in range(first, first + sessions)
        for image in range(images)
        for source in range(people)
        if source != person
    ]
    return pd.DataFrame(rows, columns=["source", "id", "identity", "session"])


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def draw(table: pd.DataFrame, drops: Mapping[str, float], noise: float, seed: int, shown: int = 0) -> pd.DataFrame:
    """Rows of one model: what all models share of a sample (by `shown`), noise of its own, and drops in each metric."""
    common, own = np.random.default_rng(shown), np.random.default_rng([seed, 1])
    sessions = pd.factorize(table["identity"] + table["session"])[0]
    table = table.copy()
    for name, (mean, spread) in SCALES.items():
        level = mean + spread * common.normal(size=sessions.max() + 1)[sessions]
        level = level + spread * common.normal(size=len(table))
        sign = -1 if METRICS[name][1] == "higher" else 1
        if name == "id_nearer_source":
            level = (common.random(len(table)) < mean + sign * drops.get(name, 0.0)).astype(float)
        else:
            level = level + sign * drops.get(name, 0.0) + noise * spread * own.normal(size=len(table))
        table[results.column(name, JUDGE if name.startswith("id_") else None)] = level
    return table


def write_run(
    folder: Path,
    models: Mapping[str, Mapping[str, float]] | None = None,
    *,
    table: pd.DataFrame | None = None,
    noise: float = 0.2,
    seed: int = 0,
    failures: Mapping[str, int] | None = None,
    digests: bool = True,
    changes: Mapping[str, Any] | None = None,
    judge: Mapping[str, Any] | None = None,
    created: str = "2026-11-01T00:00:00+00:00",
) -> Path:
    """Write result.json and samples.parquet: models with their drops, and the baselines copy_target and copy_source.

    The first `failures` samples of a model have no face. `changes` are of the protocol, data set or metrics, as
    {"dataset.revision": "2"}; `judge` are those of the judge.
    """
    table = labels() if table is None else table
    models = {"swapper": {}} if models is None else models
    if digests:
        table = table.assign(target_sha256=table["id"].map(digest), source_sha256=table["source"].map(digest))
    tables = {
        "copy_target": draw(table, {"id_similarity": 0.5, "id_nearer_source": 0.6}, 0.0, 0),
        "copy_source": draw(table, {"id_similarity": -0.2, "pose_error": 9.0}, 0.0, 1),
    }
    tables = {name: rows.assign(failure="") for name, rows in tables.items()}
    for i, (name, drops) in enumerate(models.items()):
        rows = draw(table, drops, noise, 100 * seed + i + 2).assign(failure="")
        if n := (failures or {}).get(name, 0):
            rows.loc[: n - 1, "failure"] = "no_face"
            rows.loc[: n - 1, [f"id_similarity@{JUDGE}", "pose_error"]] = np.nan
        tables[name] = rows
    samples = pd.concat([rows.assign(model=name, output=f"outputs/{name}.png") for name, rows in tables.items()])
    folder.mkdir(parents=True, exist_ok=True)
    samples.reset_index(drop=True).to_parquet(folder / "samples.parquet")
    results.save(result_of(tables, table, changes or {}, judge or {}, created), folder)
    return folder


def result_of(
    tables: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    changes: Mapping[str, Any],
    judge: Mapping[str, Any],
    created: str,
) -> RunResult:
    """The result whose values are the means of these rows, failures counted."""
    baselines = ("copy_target", "copy_source")
    values = []
    for name, rows in tables.items():
        for metric in records():
            asked = JUDGE if metric.group == "identity" else None
            column = results.column(metric.name, asked)
            own, failed = rows[column].to_numpy(), np.zeros(len(rows), bool)
            if name not in baselines:
                floor = floor_of([tables[baseline][column].to_numpy() for baseline in baselines], metric.direction)
                assert floor is not None
                own, failed = count_failures(own, rows["failure"].to_numpy(object), floor, metric.direction)
            factor = 100.0 if metric.unit == "%" else 1.0
            values.append(
                Value(model=name, metric=metric.name, judge=asked, value=factor * float(own.mean()),
                      n_scored=int((~failed).sum()), n_failed=int(failed.sum()), n_total=len(rows), n_clusters=8)
            )  # fmt: skip
    targets = hashlib.sha256("".join(table["id"]).encode()).hexdigest()
    kinds = {name: "baseline" if name in baselines else "ready" for name in tables}
    failed = {name: int((rows["failure"] != "").sum()) for name, rows in tables.items()}
    result = RunResult(
        schema=results.SCHEMA, created=created, command="fsbench run", seed=0, seconds=1.0,
        environment={"device": "cpu", "packages": {"fsbench": "0.1.0"}, "git": "0" * 40},
        dataset=DatasetRecord(
            spec="toy", name="toy", description="-", revision="1", licence="-", size=64, synthetic=True,
            content={"test": "a" * 64, "train": "b" * 64}, identities=(),
        ),
        protocol=ProtocolRecord(
            stage="crop", outputs="crops", references="held-out", gallery_identities=0, gallery_images=0,
            sets=(SetRecord(name="stills", pairing="all", n_pairs=len(table), targets=targets),),
            detector="toy", interval="t", resamples=300, confidence=0.95,
        ),
        judges=(JudgeRecord(name=JUDGE, family="toy", description="-", dim=8, version=1, weights={"toy": "c" * 64}),),
        observers=(), metrics=tuple(records()),
        models=tuple(
            ModelRecord(name=name, spec=name, summary="-", kind=kinds[name],
                        failures={"no_face": failed[name]} if failed[name] else {}) for name in tables
        ),
        values=tuple(values), ranking=RankingRecord(metric="", judges=(), left_out={}, ranks=()),
    )  # fmt: skip
    raw = result.model_dump(mode="json", by_alias=True)
    raw["judges"][0] |= judge
    for path, value in changes.items():
        *parts, last = path.split(".")
        place: Any = raw
        for part in parts:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = value
    return RunResult.model_validate(raw)


def in_memory(drops: Mapping[str, float], table: pd.DataFrame, noise: float, seed: int, shown: int = 0) -> Scores:
    """Scores of one model `swapper`, without files: for simulations."""
    rows = draw(table, drops, noise, seed, shown).assign(failure="")
    own = {
        ("swapper", metric.name, judge, "crop"): Rows(
            rows[results.column(metric.name, judge)].to_numpy(),
            frozenset({"percentage" if metric.unit == "%" else "mean"}),
        )
        for metric in records()
        for judge in (JUDGE if metric.group == "identity" else None,)
    }
    tables = {"copy_target": rows, "copy_source": rows, "swapper": rows}
    return Scores(f"run {seed}", result_of(tables, table, {}, {}, "2026-11-01"), {"output": table}, own)
