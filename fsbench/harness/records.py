"""What a run says about its parts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fsbench import results
from fsbench.config import Pipeline, Plan
from fsbench.datasets import balance
from fsbench.errors import one_line
from fsbench.faces import detect
from fsbench.files import some
from fsbench.harness import failures
from fsbench.harness.judging import Witness
from fsbench.harness.observing import Watcher
from fsbench.harness.obtain import Model
from fsbench.harness.pairs import Pairs
from fsbench.harness.scoring import CONFIDENCE
from fsbench.interfaces import Dataset, DatasetInfo, Faces, Metric, Split, WeightsFile
from fsbench.registry import swappers
from fsbench.stats.calibration import Calibration, fault, lost
from fsbench.store import file_sha256

if TYPE_CHECKING:
    import pandas as pd

FEW_STRANGERS = 20
FEW_SESSIONS = 5


def dataset_record(spec: str, info: DatasetInfo, splits: Mapping[Split, Faces]) -> results.DatasetRecord:
    """Describe the splits that were used, by content."""
    counts = [
        results.IdentityRecord(
            split=split,
            identity=name,
            n_sessions=int(mine["session"].nunique()),
            n_images=len(mine),
            sessions=balance.by_session(mine) if split != "gallery" else {},  # of strangers there are many
            poses=balance.by_pose(mine) if split != "gallery" else {},
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


def protocol_record(stage: str, pairs: Pairs, gallery: Faces | None, plan: Plan) -> results.ProtocolRecord:
    """Write down every choice that another harness could make differently."""
    return results.ProtocolRecord(
        stage=stage,
        pairing=pairs.rule,
        n_pairs=len(pairs),
        references="held-out images of each identity; the target image's own session left out",
        targets=pairs.targets.content_hash(),
        gallery_identities=len(gallery.identities) if gallery is not None else 0,
        gallery_images=len(gallery) if gallery is not None else 0,
        detector=detect.DESCRIPTION,
        interval="cluster bootstrap: target sessions resampled within each target identity; whole target identities "
        "where one of them has a single session",
        failures=failures.RULE,
        resamples=plan.resamples,
        confidence=CONFIDENCE,
    )


def _files(weights: Sequence[WeightsFile]) -> dict[str, Any]:
    """What the record of a network says of the files that it was made from."""
    return {
        "weights": {file.name: file.sha256 for file in weights},
        "licences": tuple(sorted({file.licence for file in weights})),
        "notes": tuple(dict.fromkeys(file.note for file in weights if file.note)),
    }


def metric_record(name: str, metric: Metric, error: float | None) -> results.MetricRecord:
    """Copy a metric's facts by their names, so that a report needs no plug-in.

    `error` is that of the metric's estimator, None where it is not known.
    """
    info = metric.info
    own = {
        "name": name,
        "summary": (inspect.getdoc(type(metric)) or name).split("\n\n")[0].replace("\n", " "),
        "digits": info.digits if not error else min(info.digits, max(0, -math.floor(math.log10(error)))),
        "estimator_error": error,
        **_files(info.weights),
    }
    shared = results.MetricRecord.model_fields.keys() - own.keys()
    return results.MetricRecord(**own, **{field: getattr(info, field) for field in shared})


def observer_record(watcher: Watcher) -> results.ObserverRecord:
    """Describe a network that looks at images, and its files."""
    info = watcher.observer.info
    return results.ObserverRecord(
        name=watcher.name,
        description=info.description,
        version=info.version,
        **_files(info.weights),
    )


FALSE_ACCEPTS = (1e-2, 1e-3)
"""False-accept rates at which thresholds are told."""


def judge_record(witness: Witness) -> results.JudgeRecord:
    """Describe a judge, its files, and how well it tells the people of this data set apart."""
    info, found = witness.judge.embedder.info, witness.calibration
    vectors = witness.references.vectors.numpy()
    named = "classes of its classifier" if info.classes else "people of the gallery, by nearest mean vector"
    return results.JudgeRecord(
        name=witness.judge.name,
        family=info.family,
        description=info.description,
        dim=info.dim,
        version=info.version,
        **_files(info.weights),
        lookalikes=f"the {len(witness.people):,} {named}" if witness.people else "",
        calibration=None if found is None else calibration_record(found, lost(found.n_images, witness.n_faces)),
        unfit=fault(vectors, witness.n_faces, found),
    )


def calibration_record(found: Calibration, lost: str = "") -> results.CalibrationRecord:
    """Write a calibration down; `lost` says of how many images there is no vector."""
    return results.CalibrationRecord(
        n_identities=found.n_identities,
        n_images=found.n_images,
        n_genuine=found.n_genuine,
        n_impostor=found.n_impostor,
        genuine_mean=found.genuine.mean,
        impostor_mean=found.impostor.mean,
        d_prime=found.d_prime,
        d_prime_low=found.d_prime_low,
        d_prime_high=found.d_prime_high,
        eer=found.eer,
        eer_threshold=found.eer_threshold,
        points=tuple(found.point(far) for far in FALSE_ACCEPTS),
        warnings=(*filter(None, [lost]), *found.warnings),
    )


def judge_warnings(judge: results.JudgeRecord) -> list[str]:
    """Say what limits what a judge says here."""
    if judge.unfit:
        return [f"{judge.name} counts neither in ranks nor in headlines: {judge.unfit}"]
    if judge.calibration is None:
        return [f"{judge.name} is not calibrated: the real images give no pair of one person in two sessions, or none "
                "of two people"]
    return [f"{judge.name}: {said}" for said in judge.calibration.warnings]


def model_record(model: Model, seconds: float | None) -> results.ModelRecord:
    """Describe one row of the table."""
    return results.ModelRecord(
        name=model.label,
        spec=model.spec,
        summary=model.summary,
        kind=model.kind,
        training=model.training,
        coaches=model.training.coaches if model.training else (),
        weights_sha256=file_sha256(model.weights) if model.weights else "",
        swap_seconds=seconds,
        notes=model.notes,
    )


def failed_model(pipeline: Pipeline, error: Exception) -> results.ModelRecord:
    """Describe a model of which there is nothing but the reason."""
    entry = swappers.get(pipeline.swapper.name)
    kind: Literal["baseline", "ready"] = "baseline" if getattr(entry.factory, "baseline", False) else "ready"
    return results.ModelRecord(
        name=pipeline.label, spec=str(pipeline), summary=entry.summary, kind=kind, error=one_line(error)
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
    return said + few_sessions(test)


def few_sessions(test: Faces) -> list[str]:
    """Say whose images come from too few sessions for good intervals."""
    counts: pd.Series[int] = test.rows.groupby("identity", sort=False)["session"].nunique()
    few = counts[counts < FEW_SESSIONS]
    if few.empty:
        return []
    named = some([f"{name} ({count})" for name, count in few.items()])
    return [f"fewer than {FEW_SESSIONS} held-out sessions: {named}: their intervals are rough"]


def model_warnings(
    model: Model,
    record: results.ModelRecord,
    n_pairs: int,
    families: Mapping[str, str],
    used: Mapping[Split, Faces],
) -> list[str]:
    """Say what limits one row of the table; `families` are those of the judges, by name."""
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
    if record.failures:
        said.append(f"{record.name} {results.failure_rate(record.failures, n_pairs)}")
    if record.training is not None and record.training.budget == "smoke":
        said.append(
            f"{record.name} was trained for {record.training.steps} steps only (--budget smoke): its figures test the "
            "plumbing, not the model"
        )
    said += [
        f"{record.name} was trained against {family}: judge {judge} is its coach, and flatters it"
        for judge, family in families.items()
        if family in record.coaches
    ]
    return said
