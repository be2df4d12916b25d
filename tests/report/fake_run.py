"""A small run directory made by code: drawn faces, and vectors that behave like a recogniser's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

from fsbench import results
from fsbench.results import (
    DatasetRecord,
    IdentityRecord,
    JudgeRecord,
    MetricRecord,
    ModelRecord,
    ProtocolRecord,
    RunResult,
    TrainingRecord,
    Value,
)

METRICS = (
    MetricRecord(name="id_similarity", summary="Mean cosine between the output's face and the source's held-out images; 1 is the same vector.",
                 unit="", direction="higher", digits=3, no_face="not scored, and counted", reference="Deng et al., ArcFace, CVPR 2019"),
    MetricRecord(name="id_nearer_source", summary="Share of outputs whose face is nearer to the source than to the target, in percent.",
                 unit="%", direction="higher", digits=1, no_face="counts as not nearer", reference="sign of id_leakage"),
    MetricRecord(name="gt_error", summary="Root mean squared error against the exact swap, in grey levels.",
                 unit="levels", direction="lower", digits=1, no_face="scored like any other", reference="closed form"),
    MetricRecord(name="pose_error", summary="Mean angle between the head poses of output and target, in degrees.",
                 unit="degrees", direction="lower", digits=2, no_face="not scored, and counted", reference="closed form"),
)
SHARE = {"copy_target": 0.0, "copy_source": 1.0, "exact": 0.95, "alpha_paste": 0.5}


@dataclass(frozen=True)
class Fake:
    """What the run should look like; `share` is how much of the source a model puts into its outputs."""

    models: dict[str, float] = field(default_factory=lambda: {"copy_target": 0.0, "exact": 0.95, "gan_mask": 0.85, "<b>cycle</b>(mask=true)": 0.2})
    identities: Sequence[str] = ("Ada", "Bo")
    sessions: int = 3
    per_session: int = 4
    strangers: int = 10
    size: int = 32
    seed: int = 0
    unscored: str = ""                                  # a model of which nothing can be scored
    one_direction: bool = False


def build(folder: Path, fake: Fake | None = None) -> RunResult:
    """Write a whole run directory and return its result."""
    fake = fake or Fake()
    random = np.random.default_rng(fake.seed)
    centre = {name: _unit(random.normal(size=16) + 2) for name in (*fake.identities, *(f"stranger {i}" for i in range(fake.strangers)))}
    references = _references(fake)
    vectors = {"references": np.stack([_unit(centre[name] + 0.08 * random.normal(size=16)) for name in references["identity"]])}
    vectors["references"][1] = np.nan                   # an image without a face
    tables = []
    for name, share in fake.models.items():
        table = _samples(fake, name)
        mixed = [share * centre[row.source] + (1 - share) * centre[row.identity] for row in table.itertuples()]
        vectors[name] = np.stack([_unit(vector + 0.06 * random.normal(size=16)) for vector in mixed])
        vectors[name][0] = np.nan
        tables.append(_score(table, vectors, references, share, name == fake.unscored, random))
        _draw(folder, fake, table, share)
    samples = pd.concat(tables, ignore_index=True)
    folder.mkdir(parents=True, exist_ok=True)
    samples.to_parquet(folder / "samples.parquet")
    references.to_parquet(folder / "references.parquet")
    (folder / "features").mkdir(exist_ok=True)
    save_file({key: array.astype(np.float32) for key, array in vectors.items()}, folder / "features" / "toy_judge.safetensors")
    result = _result(fake, samples)
    results.save(result, folder)
    return result


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _references(fake: Fake) -> pd.DataFrame:
    rows = [("test", name, session, i) for name in fake.identities for session in range(fake.sessions) for i in range(fake.per_session)]
    rows += [("gallery", f"stranger {k}", 0, 0) for k in range(fake.strangers)]
    return pd.DataFrame([{"id": f"{name}/s{session}_{i}", "identity": name, "session": f"s{session}", "clip": "", "frame": i, "split": split}
                         for split, name, session, i in rows])


def _samples(fake: Fake, model: str) -> pd.DataFrame:
    """Every held-out image with every other identity."""
    random = np.random.default_rng(fake.seed)
    rows = []
    for source in fake.identities[: 1 if fake.one_direction else None]:
        for target in fake.identities:
            for session in range(fake.sessions if target != source else 0):
                for i in range(fake.per_session):
                    name = f"{target}/s{session}_{i}"
                    rows.append({"model": model, "source": source, "id": name, "identity": target, "session": f"s{session}", "clip": "", "frame": i,
                                 "yaw": float(random.normal(0, 20)), "output": f"outputs/{results_name(model)}/{source}/{name}.png"})
    return pd.DataFrame(rows)


def results_name(model: str) -> str:
    """A model's name as a folder."""
    return "".join(c if c.isalnum() else "_" for c in model)


def _score(table: pd.DataFrame, vectors: dict[str, np.ndarray], references: pd.DataFrame, share: float, unscored: bool,
           random: np.random.Generator) -> pd.DataFrame:
    def to(role: str) -> np.ndarray:
        means = []
        for vector, name in zip(vectors[str(table["model"].iloc[0])], table[role], strict=True):
            means.append(np.nanmean(vectors["references"][(references["identity"] == name).to_numpy()] @ vector) if np.isfinite(vector).all() else np.nan)
        return np.array(means)

    similarity, leak = to("source"), to("identity")
    table = table.assign(**{"id_similarity@toy_judge": similarity, "id_nearer_source@toy_judge": (similarity > leak).astype(float)})
    table["gt_error"] = 30 * (1 - share) + random.normal(0, 2, len(table)) + 4
    table["pose_error"] = (4.0 * share if share < 0.9 else 1.5) + random.uniform(0, 1, len(table))
    if unscored:
        table[[*table.columns[-4:]]] = np.nan
    return table


def _result(fake: Fake, samples: pd.DataFrame) -> RunResult:
    values = []
    for model in fake.models:
        for metric in METRICS:
            judge = "toy_judge" if metric.name.startswith("id_") else None
            rows = samples.loc[samples["model"] == model, results.column(metric.name, judge)].to_numpy() * (100 if metric.unit == "%" else 1)
            rows, total = rows[np.isfinite(rows)], len(rows)
            error = 1.96 * rows.std() / np.sqrt(max(len(rows), 1) / 4) if len(rows) else 0.0
            known = {"value": rows.mean(), "low": rows.mean() - error, "high": rows.mean() + error} if len(rows) else {"value": None}
            values.append(Value(model=model, metric=metric.name, judge=judge, n_scored=len(rows), n_total=total, n_clusters=fake.sessions,
                                reason="" if len(rows) else "no face was found in any output", **known))
    counts = [IdentityRecord(split=split, identity=name, n_sessions=fake.sessions, n_images=fake.sessions * fake.per_session)
              for split in ("train", "test") for name in fake.identities]
    counts += [IdentityRecord(split="gallery", identity=f"stranger {i}", n_sessions=1, n_images=1) for i in range(fake.strangers)]
    return RunResult(
        created="2026-03-04T05:06:07+00:00", command="fsbench run --models 'gan_mask,<b>cycle</b>(mask=true)' --dataset toy", seed=7, seconds=432.1,
        environment={"python": "3.12.1", "platform": "linux x86_64", "cores": 2, "device": "cpu", "git": "0123456789abcdef (modified)",
                     "packages": {"fsbench": "0.1.0", "numpy": "2.1"}},
        dataset=DatasetRecord(spec="toy", name="toy", description="Faces drawn with circles.", revision="toy-1", licence="CC0-1.0", size=fake.size,
                              synthetic=True, content={"train": "aa" * 32, "test": "bb" * 32}, identities=tuple(counts), notes=("Drawn, not photographed.",)),
        protocol=ProtocolRecord(stage="crop", pairing="every held-out image with every other identity", n_pairs=len(samples) // len(fake.models),
                                references="held-out images", gallery_identities=len(fake.identities) + fake.strangers, gallery_images=34, detector="none",
                                interval="cluster bootstrap over sessions", resamples=1000, confidence=0.95),
        judges=(JudgeRecord(name="toy_judge", family="toy", description="Vectors drawn at random around a centre per person.", dim=16, version=1,
                            weights={"toy.dat": "cc" * 32}, licences=("CC0-1.0",)),),
        metrics=METRICS, models=tuple(_model(name) for name in fake.models), values=tuple(values),
        warnings=("One session holds 60 % of Ada's images.",))


def _model(name: str) -> ModelRecord:
    if name in SHARE:
        return ModelRecord(name=name, spec=name, summary="Does what its name says.", kind="ceiling" if name == "exact" else "baseline")
    training = TrainingRecord(budget="short", steps=4000, seconds=181.0, device="cpu", settings={"size": "tiny", "batch": 16},
                              coaches=("toy",) if "cycle" in name else ())
    return ModelRecord(name=name, spec=name, summary="Learns two people.", kind="trained", training=training, weights_sha256="dd" * 32,
                       swap_seconds=0.0042, n_no_face=1, notes=("Perceptual loss is off: no recogniser was given.",))


def _draw(folder: Path, fake: Fake, samples: pd.DataFrame, share: float) -> None:
    """Output, target, exact and source pictures: a disc whose colour is the identity, on a ground that is the session."""
    for row in samples.itertuples():
        seed = int(str(row.session)[1:])
        tail = f"{row.id}.png"
        _face(folder / str(row.output), fake, str(row.source), str(row.identity), share, seed)
        _face(folder / "inputs" / "target" / tail, fake, str(row.source), str(row.identity), 0.0, seed)
        _face(folder / "inputs" / "exact" / str(row.source) / tail, fake, str(row.source), str(row.identity), 1.0, seed)
        _face(folder / "inputs" / "source" / f"{row.source}.png", fake, str(row.source), str(row.source), 0.0, 0)


def _face(path: Path, fake: Fake, source: str, target: str, share: float, session: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.random.default_rng(5).uniform(90, 240, (len(fake.identities), 3))
    a, b = (palette[list(fake.identities).index(name)] for name in (source, target))
    size = fake.size
    image = Image.new("RGB", (size, size), tuple(int(v) for v in np.random.default_rng(session).uniform(20, 120, 3)))
    pen = ImageDraw.Draw(image)
    pen.ellipse((size * 0.2, size * 0.1, size * 0.8, size * 0.9), fill=tuple(int(v) for v in share * a + (1 - share) * b))
    for x in (0.38, 0.62):
        pen.ellipse((size * (x - 0.05), size * 0.4, size * (x + 0.05), size * 0.48), fill=(30, 30, 40))
    pen.line((size * 0.4, size * 0.7, size * 0.6, size * 0.7), fill=(120, 30, 40), width=max(1, size // 24))
    image.save(path)
