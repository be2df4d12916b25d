"""Records of a result: data set, protocol, networks, metrics and models."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from fsbench import results
from fsbench.config import Pipeline, Plan
from fsbench.datasets import balance
from fsbench.errors import one_line
from fsbench.evidence.needs import observers_in
from fsbench.evidence.references import EnrolledJudge
from fsbench.extraction.extractor import Extractor
from fsbench.faces import detect
from fsbench.harness import failures, measurements
from fsbench.harness.models import Model
from fsbench.interfaces import DatasetInfo, Faces, Metric, Observer, WeightsFile
from fsbench.pairs import EvaluationSet
from fsbench.registry import swappers
from fsbench.stats.calibration import Calibration, fault, lost
from fsbench.stats.resampling import CONFIDENCE, ENOUGH_PEOPLE
from fsbench.store import file_sha256

BALANCED = ("train", "train clips", "test")
"""Images whose sessions and poses are counted."""


def dataset_record(spec: str, info: DatasetInfo, splits: Mapping[str, Faces]) -> results.DatasetRecord:
    """Describe the splits that were used, by content."""
    counts = [
        results.IdentityRecord(
            split=split,
            identity=name,
            n_sessions=int(mine["session"].nunique()),
            n_images=len(mine),
            sessions=balance.by_session(mine) if split in BALANCED else {},  # of strangers there are many
            poses=balance.by_pose(mine) if split in BALANCED else {},
        )
        for split, faces in splits.items()
        for name, mine in _by_identity(faces)
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


def _by_identity(faces: Faces) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each person, in order of first appearance; pandas' own loop over groups holds a copy of all."""
    index = faces.rows.groupby("identity").indices
    return ((name, faces.rows.iloc[index[name]]) for name in faces.identities)


def protocol_record(
    outputs: str,
    sets: Sequence[EvaluationSet],
    plan: Plan,
    metrics: Mapping[str, Metric],
    frames: results.FramesRecord | None,
) -> results.ProtocolRecord:
    """Write down every choice that another harness could make differently; `outputs` says where these come from."""
    gallery = sets[0].real.gallery
    return results.ProtocolRecord(
        stage="frame" if plan.stage == "frame" else "crop",
        frames=frames,
        outputs=outputs,
        sets=tuple(
            results.SetRecord(
                name=evaluation.name,
                pairing=evaluation.pairs.rule,
                n_pairs=len(evaluation.pairs),
                n_clips=len(evaluation.pairs.clips),
                targets=evaluation.pairs.targets.content_hash(),
            )
            for evaluation in sets
        ),
        references="held-out images of each identity; the target image's own session left out",
        gallery_identities=len(gallery.identities) if gallery is not None else 0,
        gallery_images=len(gallery) if gallery is not None else 0,
        detector=detect.DESCRIPTION,
        interval="Student's t on the standard error of a cluster bootstrap: target sessions resampled within each "
        "target identity; whole target identities where one of three or more has a single session; source identities "
        f"as well where there are {ENOUGH_PEOPLE} or more; where targets are frames of clips, too few for that, blocks "
        "of consecutive frames within each clip, which tells nothing of other clips",
        failures=failures.RULE,
        subsets=measurements.subset_rule(metrics),
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
        "observer": ", ".join(observers_in(info.needs)),
        **_files(info.weights),
    }
    shared = results.MetricRecord.model_fields.keys() - own.keys()
    return results.MetricRecord(**own, **{field: getattr(info, field) for field in shared})


def observer_record(observer: Extractor[Observer]) -> results.ObserverRecord:
    """Describe a network that looks at images, and its files."""
    info = observer.network.info
    return results.ObserverRecord(
        name=observer.name,
        description=info.description,
        version=info.version,
        precision=info.precision,
        **_files(info.weights),
    )


FALSE_ACCEPTS = (1e-2, 1e-3)
"""False-accept rates at which thresholds are told."""


def judge_record(enrolled: EnrolledJudge) -> results.JudgeRecord:
    """Describe a judge, its files, and how well it tells the people of this data set apart."""
    info, calibration = enrolled.judge.network.info, enrolled.calibration
    vectors = enrolled.references.vectors.numpy()
    named = "classes of its classifier" if info.classes else "people of the gallery, by nearest mean vector"
    return results.JudgeRecord(
        name=enrolled.judge.name,
        family=info.family,
        description=info.description,
        dim=info.dim,
        version=info.version,
        precision=info.precision,
        **_files(info.weights),
        lookalikes=f"the {len(enrolled.people):,} {named}" if enrolled.people else "",
        calibration=None
        if calibration is None
        else calibration_record(calibration, lost(calibration.n_images, enrolled.n_faces)),
        unfit=fault(vectors, enrolled.n_faces, calibration),
    )


def calibration_record(calibration: Calibration, lost: str = "") -> results.CalibrationRecord:
    """Write a calibration down; `lost` says of how many images there is no vector."""
    return results.CalibrationRecord(
        n_identities=calibration.n_identities,
        n_images=calibration.n_images,
        n_genuine=calibration.n_genuine,
        n_impostor=calibration.n_impostor,
        genuine_mean=calibration.genuine.mean,
        impostor_mean=calibration.impostor.mean,
        d_prime=calibration.d_prime,
        d_prime_low=calibration.d_prime_low,
        d_prime_high=calibration.d_prime_high,
        eer=calibration.eer,
        eer_threshold=calibration.eer_threshold,
        points=tuple(calibration.point(far) for far in FALSE_ACCEPTS),
        warnings=(*filter(None, [lost]), *calibration.warnings),
    )


def model_record(model: Model, seconds: float | None) -> results.ModelRecord:
    """Describe one row of the table."""
    files = _files(model.weights_files)
    return results.ModelRecord(
        name=model.label,
        spec=model.spec,
        summary=model.summary,
        kind=model.kind,
        training=model.training,
        coaches=model.coaches,
        parts=tuple(
            results.PartRecord(spec=str(part.spec), training=part.training, weights_sha256=file_sha256(part.weights))
            for part in model.parts[1:]
            if part.weights is not None
        ),
        weights_sha256=file_sha256(first.weights) if (first := model.parts[0]).weights else "",
        weights=files["weights"],
        licences=files["licences"],
        swap_seconds=None if model.kind == "precomputed" else seconds,
        notes=(*model.notes, *files["notes"]),
    )


FLOOR = "identity_swap"
"""Name of what is pasted back unchanged."""


def floor_record(preset: str) -> results.ModelRecord:
    """Describe the unchanged crop, pasted back into its frame."""
    return results.ModelRecord(
        name=FLOOR,
        spec=f"copy_target, pasted by preset {preset}",
        summary=f"the unchanged crop, pasted back by the preset {preset}: what the paste alone does",
        kind="floor",
    )


def failed_model(pipeline: Pipeline, error: Exception) -> results.ModelRecord:
    """Describe a model of which there is nothing but the reason."""
    entry = swappers.get(pipeline.swapper.name)
    kind: Literal["baseline", "ready"] = "baseline" if getattr(entry.factory, "baseline", False) else "ready"
    return results.ModelRecord(
        name=pipeline.label, spec=str(pipeline), summary=entry.summary, kind=kind, error=one_line(error)
    )
