"""A small run directory made by code: drawn faces, and vectors that behave like a recogniser's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

from fsbench import results
from fsbench.results import (
    CalibrationRecord,
    DatasetRecord,
    IdentityRecord,
    JudgeRecord,
    MetricRecord,
    ModelRecord,
    OperatingPoint,
    ProtocolRecord,
    RunResult,
    SetRecord,
    TrainingRecord,
    Value,
)
from fsbench.stats.ranking import ranking
from fsbench.stats.resampling import Design, Mean

ODD_NAME = "<b>cycle</b>(mask=true)"
MODELS = {"copy_target": 0.0, "exact": 0.95, "gan_mask": 0.85, ODD_NAME: 0.2}  # how much of the source each shows
KINDS = {"exact": "ceiling", "copy_target": "baseline", "copy_source": "baseline", "alpha_paste": "baseline"}
JUDGE, STRANGERS, DIM, SIZE = "toy_judge", 10, 16, 32
NAMED = 5  # look-alikes of each image
METRICS = [
    MetricRecord(
        name=name,
        summary=f"Summary of {name}.",
        unit=unit,
        direction=direction,
        digits=digits,
        no_face=f"no face, {name}",
        reference=f"reference of {name}",
        group="identity" if name.startswith("id_") else "attributes",
        headline=name == "id_similarity",
        **facts,
    )
    for name, unit, direction, digits, facts in [
        ("pose_error", "degrees", "lower", 2, {"summary_rank": 4}),
        ("id_similarity", "", "higher", 3, {"summary_rank": 1}),
        ("id_nearer_source", "%", "higher", 1, {"summary_rank": 2, "verdict": "{value} of its outputs are nearer"}),
        ("id_target_verified", "%", "lower", 1, {"summary_rank": 3, "verification_rank": 1}),
    ]
]


def write_run(
    folder: Path,
    models: Mapping[str, float] = MODELS,
    identities: Sequence[str] = ("Ada", "Bo"),
    judges: Sequence[str] = (JUDGE,),
    sessions: int = 3,
    per_session: int = 4,
    unscored: str = "",
    one_direction: bool = False,
) -> Path:
    """Of each model the first output has no face, and of the references the second; `unscored` has no value at all."""
    people = [*identities, *(f"stranger {i}" for i in range(STRANGERS))]
    references = pd.DataFrame(
        [
            (name, f"s{session}", "test")
            for name in identities
            for session in range(sessions)
            for _ in range(per_session)
        ]
        + [(name, "s0", "gallery") for name in people[len(identities) :]],
        columns=["identity", "session", "split"],
    )
    sources = identities[:1] if one_direction else identities
    tables = {model: _targets(model, identities, sessions, per_session, sources) for model in models}
    random = np.random.default_rng(0)
    lookalikes, maps = [], []
    (folder / "features").mkdir(parents=True)
    for judge in judges:
        centre = {name: random.normal(size=DIM) + 2 for name in people}
        vectors = {
            "references": _unit(
                np.stack([centre[name] for name in references["identity"]])
                + 0.4 * random.normal(size=(len(references), DIM))
            )
        }
        vectors["references"][1] = np.nan
        for model, table in tables.items():
            vectors[model] = _outputs(random, table, centre, models[model])
            _score(table, judge, vectors, references, identities)
        for model, array in vectors.items():
            lookalikes.append(_lookalikes(judge, model, array, centre))
            maps.append(_map(judge, model, array))
        arrays = {key: array.astype(np.float32) for key, array in vectors.items()}
        save_file(arrays, folder / "features" / f"{judge}.safetensors")
    for model, table in tables.items():
        table["pose_error"] = 3 * models[model] + random.uniform(0, 1, len(table))
        if model == unscored:
            scores = [name for name in table if "@" in name or name == "pose_error"]
            table[scores] = np.nan
        _draw_all(folder, table, identities, models[model])
    samples = pd.concat(tables.values(), ignore_index=True)
    samples.to_parquet(folder / "samples.parquet")
    references.to_parquet(folder / "references.parquet")
    pd.concat(lookalikes, ignore_index=True).to_parquet(folder / "lookalikes.parquet")
    pd.concat(maps, ignore_index=True).to_parquet(folder / "umap.parquet")
    results.save(_result(samples, list(models), identities, judges), folder)
    return folder


def _outputs(
    random: np.random.Generator, table: pd.DataFrame, centre: Mapping[str, np.ndarray], share: float
) -> np.ndarray:
    """Vectors between the target's and the source's."""
    mixed = [share * centre[row.source] + (1 - share) * centre[row.identity] for row in table.itertuples()]
    vectors = _unit(np.stack(mixed) + 0.3 * random.normal(size=(len(table), DIM)))
    vectors[0] = np.nan
    return vectors


def _score(
    table: pd.DataFrame,
    judge: str,
    vectors: Mapping[str, np.ndarray],
    references: pd.DataFrame,
    identities: Sequence[str],
) -> None:
    """Add the judge's columns to a model's samples."""
    known = references["split"].eq("test") & np.isfinite(vectors["references"]).all(1)
    mean = {name: _mean(vectors["references"][known & (references["identity"] == name)]) for name in identities}
    made = vectors[table["model"].iloc[0]]
    to_source, to_target = (
        (made * np.stack([mean[name] for name in table[role]])).sum(1) for role in ("source", "identity")
    )
    table[f"id_similarity@{judge}"] = to_source
    table[f"id_nearer_source@{judge}"] = 100.0 * (to_source > to_target)
    table[f"id_target_verified@{judge}"] = 100.0 * (to_target > 0.9)


def _lookalikes(judge: str, model: str, vectors: np.ndarray, centre: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The nearest strangers of every image with a face."""
    names = np.array([name for name in centre if name.startswith("stranger")])
    cosines = vectors @ _unit(np.stack([centre[name] for name in names])).T
    rows = [
        (judge, "" if model == "references" else model, row, rank, names[i], cosine[i])
        for row, cosine in enumerate(cosines)
        if np.isfinite(cosine).all()
        for rank, i in enumerate(np.argsort(-cosine)[:NAMED], start=1)
    ]
    return pd.DataFrame(rows, columns=["judge", "model", "row", "rank", "name", "score"])


def _map(judge: str, model: str, vectors: np.ndarray) -> pd.DataFrame:
    """A few coordinates in the place of a map's."""
    table = pd.DataFrame(vectors[:, [0, 1, 2, 3, 4]], columns=["x2", "y2", "x3", "y3", "z3"])
    table = table.assign(judge=judge, model="" if model == "references" else model, row=np.arange(len(vectors)))
    return table.dropna()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _mean(vectors: np.ndarray) -> np.ndarray:
    return vectors.mean(0) if len(vectors) else np.full(DIM, np.nan)


def _targets(
    model: str, identities: Sequence[str], sessions: int, per_session: int, sources: Sequence[str]
) -> pd.DataFrame:
    """Every held-out image with every other identity."""
    ids = [
        (source, target, f"s{session}", f"{target}/s{session}_{i}")
        for source in sources
        for target in identities
        if target != source
        for session in range(sessions)
        for i in range(per_session)
    ]
    table = pd.DataFrame(ids, columns=["source", "identity", "session", "id"])
    return table.assign(
        model=model,
        clip="",
        frame=0,
        yaw=np.linspace(-30, 30, len(table)),
        pitch=5.0,
        smile=np.linspace(0, 1, len(table)) ** 2,
        occluded=np.arange(len(table)) % 4 // 3 * 1.0,
        output=[f"outputs/{results.slug(model)}/{row.source}/{row.id}.png" for row in table.itertuples()],
    )


def _result(
    samples: pd.DataFrame, models: Sequence[str], identities: Sequence[str], judges: Sequence[str]
) -> RunResult:
    poses = {"left": 2, "frontal": 9, "right": 1}
    counts = [
        IdentityRecord(
            split=split, identity=name, n_sessions=3, n_images=12, sessions={"s0": 2, "s1": 7, "s2": 3}, poses=poses
        )
        for split in ("train", "test")
        for name in identities
    ]
    counts += [
        IdentityRecord(split="gallery", identity=f"stranger {i}", n_sessions=1, n_images=1) for i in range(STRANGERS)
    ]
    records = tuple(_judge(name) for name in judges)
    contestants = tuple(_model(name) for name in models)
    values = tuple(value for name in models for metric in METRICS for value in _values(samples, name, metric, judges))
    return RunResult(
        created="2026-03-04T05:06:07+00:00",
        command=f"fsbench run --models 'gan_mask,{ODD_NAME}' --dataset toy",
        seed=7,
        seconds=432.1,
        environment={"device": "cpu", "git": "0123456789abcdef (modified)", "packages": {"fsbench": "0.1.0"}},
        dataset=DatasetRecord(
            spec="toy",
            name="toy",
            description="Faces drawn with circles.",
            revision="toy-1",
            licence="CC0-1.0",
            size=SIZE,
            synthetic=True,
            content={"test": "bb" * 32},
            identities=tuple(counts),
            notes=("Drawn.",),
        ),
        protocol=ProtocolRecord(
            stage="crop",
            outputs="drawn",
            sets=(SetRecord(name="stills", pairing="all", n_pairs=len(samples) // len(models)),),
            references="held-out images",
            gallery_identities=12,
            gallery_images=34,
            detector="none",
            interval="cluster bootstrap over sessions",
            resamples=1000,
            confidence=0.95,
        ),
        observers=(),
        judges=records,
        metrics=tuple(METRICS),
        models=contestants,
        values=values,
        ranking=ranking(values, contestants, records, METRICS),
        differences=tuple(_differences(samples, models, judges)),
        warnings=("One session holds 60 % of Ada's images.",),
    )


def _judge(name: str) -> JudgeRecord:
    return JudgeRecord(
        name=name,
        family=name.removesuffix("_judge"),
        description="Drawn at random.",
        dim=DIM,
        version=1,
        weights={f"{name}.dat": "cc" * 32},
        licences=("MIT",),
        notes=(f"{name}.dat: for non-commercial research only",),
        lookalikes=f"the {STRANGERS} people of the gallery",
        calibration=CalibrationRecord(
            n_identities=12,
            n_images=34,
            n_genuine=96,
            n_impostor=4321,
            genuine_mean=0.95,
            impostor_mean=0.25,
            d_prime=3.21,
            eer=0.0625,
            eer_threshold=0.876,
            points=(
                OperatingPoint(far=0.01, threshold=0.913, tar=0.87),
                OperatingPoint(far=0.001, threshold=None, tar=None, reason="4321 impostor pairs are too few"),
            ),
            warnings=("impostors are 3 pairs of people only",),
        ),
    )


def _model(name: str) -> ModelRecord:
    if name in KINDS:
        return ModelRecord(name=name, spec=name, summary="Does what its name says.", kind=KINDS[name])
    coaches = ("toy",) if name == ODD_NAME else ()
    training = TrainingRecord(
        budget="short", steps=4000, seconds=181.0, device="cpu", settings={"size": "tiny", "batch": 16}, coaches=coaches
    )
    return ModelRecord(
        name=name,
        spec=name,
        summary="Learns two people.",
        kind="trained",
        training=training,
        coaches=coaches,
        weights_sha256="dd" * 32,
        swap_seconds=0.0042,
        n_no_face=1,
        notes=("Perceptual loss is off.",),
    )


def _values(samples: pd.DataFrame, model: str, metric: MetricRecord, judges: Sequence[str]) -> list[Value]:
    return [_value(samples, model, metric, judge) for judge in (judges if metric.name.startswith("id_") else [None])]


def _value(samples: pd.DataFrame, model: str, metric: MetricRecord, judge: str | None) -> Value:
    rows = samples.loc[samples["model"] == model, results.column(metric.name, judge)]
    known = {"value": None, "reason": "no face was found in any output"}
    if rows.notna().any():
        known = {"value": rows.mean(), "low": rows.mean() - rows.sem(), "high": rows.mean() + rows.sem()}
    return Value(
        model=model,
        metric=metric.name,
        judge=judge,
        n_scored=int(rows.notna().sum()),
        n_total=len(rows),
        n_clusters=6,
        **known,
    )


def _differences(
    samples: pd.DataFrame, models: Sequence[str], judges: Sequence[str]
) -> Iterator[results.DifferenceRecord]:
    """All contestants against all models after them, and against all others."""
    for model, other in combinations(models, 2):
        if model in KINDS:
            model, other = other, model
        for metric in METRICS if model not in KINDS else ():
            for judge in judges if metric.name.startswith("id_") else [None]:
                yield _difference(samples, model, other, metric, judge)


def _difference(
    samples: pd.DataFrame, model: str, other: str, metric: MetricRecord, judge: str | None
) -> results.DifferenceRecord:
    name = results.column(metric.name, judge)
    one, two = (samples[samples["model"] == of].reset_index(drop=True) for of in (model, other))
    both = one[name].notna() & two[name].notna()
    known = {"model": model, "other": other, "metric": metric.name, "judge": judge, "n": int(both.sum())}
    if not both.any():
        return results.DifferenceRecord(**known, effect=None, reason="one of them has no value")
    labels = (one.loc[both, of].to_numpy(str) for of in ("identity", "session", "source"))
    design = Design.of(*labels, resamples=200, seed=0)
    if design.reason:
        return results.DifferenceRecord(**known, effect=None, reason=design.reason)
    a, b = (table.loc[both, name].to_numpy(np.float64) for table in (one, two))
    difference = design.difference(float(a.mean() - b.mean()), *(design.resample(Mean(of)) for of in (a, b)))
    return results.DifferenceRecord(**known, **asdict(difference))


def _draw_all(folder: Path, table: pd.DataFrame, identities: Sequence[str], share: float) -> None:
    for row in table.itertuples():
        roles = {
            folder / row.output: share,
            folder / f"inputs/target/{row.id}.png": 0.0,
            folder / f"inputs/exact/{row.source}/{row.id}.png": 1.0,
        }
        for path, part in roles.items():
            _draw(
                path,
                part * identities.index(row.source) + (1 - part) * identities.index(row.identity),
                int(row.session[1:]),
            )
        _draw(folder / f"inputs/source/{row.source}.png", identities.index(row.source), 0)


def _draw(path: Path, who: float, session: int) -> None:
    """A face: its shade is the identity, the ground is the session."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (SIZE, SIZE), (40, 40 + 30 * session, 90))
    pen = ImageDraw.Draw(image)
    pen.ellipse((6, 3, 26, 29), fill=(240 - int(60 * who), 190, 120 + int(60 * who)))
    for x in (12, 20):
        pen.ellipse((x - 2, 13, x + 2, 16), fill=(30, 30, 40))
    image.save(path)
