"""What a run says about its parts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import pandas as pd
import torch

from fsbench import results
from fsbench.config import Plan
from fsbench.faces import detect
from fsbench.harness.obtain import Model
from fsbench.harness.pairs import Pairs
from fsbench.harness.scoring import CONFIDENCE
from fsbench.interfaces import Dataset, Faces, Metric, Split
from fsbench.store import file_sha256

FEW_STRANGERS = 20
FEW_SESSIONS = 5


def dataset_record(spec: str, dataset: Dataset, splits: dict[Split, Faces]) -> results.DatasetRecord:
    """Describe the splits that were used, by content."""
    info = dataset.info
    counts = [
        results.IdentityRecord(
            split=split, identity=name, n_sessions=int(mine["session"].nunique()), n_images=len(mine)
        )
        for split, faces in splits.items()
        for name, mine in faces.rows.groupby("identity", sort=False)
    ]
    return results.DatasetRecord(
        spec=spec,
        name=info.name,
        description=info.description,
        revision=info.revision,
        licence=info.licence,
        size=info.size,
        synthetic=info.synthetic,
        content={split: faces.crops.content_hash() for split, faces in splits.items()},
        identities=tuple(counts),
        notes=info.notes,
    )


def protocol_record(pairs: Pairs, gallery: Faces | None, plan: Plan) -> results.ProtocolRecord:
    """Write down every choice that another harness could make differently."""
    return results.ProtocolRecord(
        stage="aligned crop, outputs rounded to 8 bits, scored from memory",
        pairing=pairs.rule,
        n_pairs=len(pairs),
        references="held-out images of each identity; the target image's own session left out",
        gallery_identities=len(gallery.identities) if gallery is not None else 0,
        gallery_images=len(gallery) if gallery is not None else 0,
        detector=detect.DESCRIPTION,
        interval="cluster bootstrap: target sessions resampled within each target identity",
        resamples=plan.resamples,
        confidence=CONFIDENCE,
    )


def metric_record(name: str, metric: Metric) -> results.MetricRecord:
    """Copy a metric's facts, so that a report needs no plug-in."""
    info = metric.info
    summary = (inspect.getdoc(type(metric)) or name).split("\n\n")[0].replace("\n", " ")
    return results.MetricRecord(
        name=name,
        summary=summary,
        unit=info.unit,
        direction=info.direction,
        digits=info.digits,
        no_face=info.no_face,
        reference=info.reference,
    )


def model_record(model: Model, seconds: float | None, n_no_face: int) -> results.ModelRecord:
    """Describe one row of the table."""
    return results.ModelRecord(
        name=model.label,
        spec=model.spec,
        summary=model.summary,
        kind=model.kind,
        training=model.training,
        weights_sha256=file_sha256(model.weights) if model.weights else "",
        swap_seconds=seconds,
        n_no_face=n_no_face,
        notes=model.notes,
    )


def data_warnings(dataset: Dataset, test: Faces, gallery: Faces | None) -> list[str]:
    """Say what in the data limits what the numbers mean."""
    said = list(dataset.info.warnings)
    if gallery is None or len(gallery.identities) < FEW_STRANGERS:
        strangers = 0 if gallery is None else len(gallery.identities)
        said.append(
            f"the gallery has {strangers} strangers beside the {len(test.identities)} identities that are swapped: "
            "identity retrieval says little"
        )
    sessions: pd.Series[int] = test.rows.groupby("identity", sort=False)["session"].nunique()
    said += [
        f"{name} has {count} held-out sessions: its intervals are rough"
        for name, count in sessions.items()
        if count < FEW_SESSIONS
    ]
    return said


def model_warnings(
    model: Model,
    record: results.ModelRecord,
    n_pairs: int,
    judges: list[results.JudgeRecord],
    used: Mapping[Split, Faces],
) -> list[str]:
    """Say what limits one row of the table."""
    said = []
    if record.kind == "loaded" and record.training is None:
        said.append(
            f"{record.name}: how it was trained is not known (no .json beside its weights): it may have seen "
            "held-out images, and a judge may have been its coach"
        )
    elif record.kind == "loaded" and "train" in used and model.trained_on != used["train"].content_hash():
        said.append(
            f"{record.name} was trained on other data than this training split, and may have seen held-out images"
        )
    if record.n_no_face:
        said.append(f"{record.name}: no face was found in {record.n_no_face} of {n_pairs} outputs")
    if record.training is not None and record.training.budget == "smoke":
        said.append(
            f"{record.name} was trained for {record.training.steps} steps only (--budget smoke): its figures test the "
            "plumbing, not the model"
        )
    for judge in judges:
        if record.training is not None and judge.family in record.training.coaches:
            said.append(
                f"{record.name} was trained against {judge.family}: judge {judge.name} is its coach, and flatters it"
            )
    return said


def reference_rows(test: Faces, gallery: Faces | None) -> pd.DataFrame:
    """Rows of the real images that outputs are compared with, (R, ...), with a column `split`."""
    parts = [test.rows.assign(split="test")] + ([gallery.rows.assign(split="gallery")] if gallery is not None else [])
    return pd.concat(parts, ignore_index=True)


def synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock read next counts its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
