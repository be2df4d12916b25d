"""How well judges tell people apart: real images alone, no swaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from fsbench import environment, results
from fsbench.datasets.people import open_album
from fsbench.errors import DataError
from fsbench.evidence.references import enrol, find_faces
from fsbench.extraction.extractor import build_judges
from fsbench.harness import records, warn
from fsbench.harness.sets import by_set
from fsbench.harness.splits import Splits
from fsbench.harness.strangers import gather
from fsbench.interfaces import Context, DatasetInfo, Faces
from fsbench.record_types import Record
from fsbench.registry import datasets
from fsbench.stats.calibration import Calibration
from fsbench.store import write_text

FILE_NAME = "calibration.json"
SCHEMA = 1
BINS = 1000
PREPROCESSING = "see that it is a face recogniser, and given what it wants: onnx(PATH,mean=..,std=..,order=..)"


class Distribution(Record):
    """Shares of the pairs in equal bins of the cosine over [-1, 1]."""

    genuine: tuple[float, ...]
    impostor: tuple[float, ...]


class CalibrationResult(Record):
    """All that one `fsbench calibrate` found."""

    schema_number: int = Field(SCHEMA, alias="schema")
    created: str  # ISO 8601, UTC
    command: str
    environment: dict[str, Any]
    dataset: results.DatasetRecord
    judges: tuple[results.JudgeRecord, ...]
    distributions: dict[str, Distribution]  # by judge, of those that could be calibrated
    warnings: tuple[str, ...] = ()


def calibrate(
    data: str, judges: Sequence[str], context: Context, *, size: int = 128, command: str = ""
) -> CalibrationResult:
    """Compare the real images of a folder of people, or of a data set, under each judge; raises FsbenchError.

    Of a data set those are the images that a run compares outputs with: its test split and its gallery.
    """
    built = build_judges(judges, context)  # raises before any work
    info, used = _read(data, size, context)
    real = find_faces(used["test"], used.get("gallery"), context)
    enrolled_judges = [enrol(judge, real, context) for judge in built]
    judge_records = tuple(records.judge_record(enrolled) for enrolled in enrolled_judges)
    distributions = {
        enrolled.judge.name: _distribution(enrolled.calibration)
        for enrolled in enrolled_judges
        if enrolled.calibration is not None
    }
    if not distributions:
        sessions = real.rows.groupby("identity")["session"].nunique()
        comparable = len(sessions) > 1 and sessions.max() > 1  # else no judge could do anything
        if comparable and (faults := [f"{judge.name}: {judge.unfit}" for judge in judge_records if judge.unfit]):
            raise DataError(f"nothing can be calibrated: {'; '.join(faults)}", PREPROCESSING)
        raise DataError(
            f"{data} gives no pair of one person in two sessions, or none of two people",
            "it needs two people or more, and two images of one of them that were not taken together",
        )
    return CalibrationResult(
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        environment=environment.describe(context.device),
        dataset=records.dataset_record(data, info, used),
        judges=judge_records,
        distributions=distributions,
        warnings=(*info.warnings, *(warning for judge in judge_records for warning in warn.of_judge(judge))),
    )


def _distribution(calibration: Calibration) -> Distribution:
    _, genuine, impostor = calibration.densities(BINS)
    return Distribution(genuine=tuple(genuine.tolist()), impostor=tuple(impostor.tolist()))


def _read(data: str, size: int, context: Context) -> tuple[DatasetInfo, dict[str, Faces]]:
    """Read a data set where the specification names one, else a folder."""
    if datasets.has(data.partition("(")[0].partition(":")[0]):
        splits = Splits(environment.build_dataset(data, context))
        used = {"test": next(iter(by_set(splits["test"]).values()))}
        gallery = gather(splits.dataset, splits["test"], "", context)
        return splits.dataset.info, used if gallery is None else {**used, "gallery": gallery}
    album = open_album(Path(data).expanduser(), size, context)
    faces = album.faces
    info = DatasetInfo(
        name="people",
        revision=faces.content_hash(),
        size=size,
        description=f"people of {album.root.name}",
        licence="unknown: the user's own files",
        splits=("test",),
        warnings=(*album.warnings, *album.uneven),
    )
    return info, {"test": faces}


def save(result: CalibrationResult, folder: Path) -> Path:
    """Write calibration.json atomically, and return its path."""
    path = folder / FILE_NAME
    write_text(path, result.model_dump_json(by_alias=True, indent=1) + "\n")
    return path
