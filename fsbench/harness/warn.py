"""What limits what the numbers of a run mean, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fsbench import results
from fsbench.files import some
from fsbench.harness.instruments import Instruments
from fsbench.harness.models import Model
from fsbench.harness.splits import Splits
from fsbench.interfaces import Dataset, Faces, Split
from fsbench.pairs import EvaluationSet

if TYPE_CHECKING:
    import pandas as pd

FEW_STRANGERS = 20
FEW_SESSIONS = 5


def of_judge(judge: results.JudgeRecord) -> list[str]:
    """Say what limits what a judge says here."""
    if judge.unfit:
        return [f"{judge.name} counts neither in ranks nor in headlines: {judge.unfit}"]
    if judge.calibration is None:
        return [
            f"{judge.name} is not calibrated: the real images give no pair of one person in two sessions, or none "
            "of two people"
        ]
    return [f"{judge.name}: {warning}" for warning in judge.calibration.warnings]


def of_metrics(left_out: Mapping[str, str]) -> list[str]:
    """Say which metrics are left out, with the reasons by name."""
    return [f"{name} is left out, it cannot be made: {why}" for name, why in left_out.items()]


def of_set(measured: EvaluationSet, splits: Splits, instruments: Instruments) -> list[str]:
    """Say which metrics are left out, and what in the data limits what the others mean."""
    data = of_data(splits.dataset, measured.targets, splits.read.get("gallery"))
    return [*of_metrics(instruments.left_out), *of_precision(instruments), *data]


def of_precision(instruments: Instruments) -> list[str]:
    """Say which networks computed in less than float32."""
    judges = [(judge.name, judge.network.info.precision) for judge in instruments.judges]
    observers = [(one.name, one.network.info.precision) for one in instruments.observers.values()]
    reduced = [f"{name} computed in {precision}" for name, precision in (*judges, *observers) if precision != "float32"]
    if not reduced:
        return []
    return [f"{', '.join(reduced)}, all else in float32: compare with runs of the same precision"]


def of_data(dataset: Dataset, test: Faces, gallery: Faces | None) -> list[str]:
    """Say what in the data limits what the numbers mean."""
    warnings = list(dataset.info.warnings)
    if gallery is None or len(gallery.identities) < FEW_STRANGERS:
        strangers = 0 if gallery is None else len(gallery.identities)
        warnings.append(
            f"the gallery has {strangers} strangers beside the {len(test.identities)} identities that are swapped: "
            "identity retrieval says little"
        )
    return warnings + few_sessions(test)


def few_sessions(test: Faces) -> list[str]:
    """Say whose images come from too few sessions for good intervals."""
    counts: pd.Series[int] = test.rows.groupby("identity", sort=False)["session"].nunique()
    few = counts[counts < FEW_SESSIONS]
    if few.empty:
        return []
    named = some([f"{name} ({count})" for name, count in few.items()])
    return [f"fewer than {FEW_SESSIONS} held-out sessions: {named}: their intervals are rough"]


def of_values(values: Iterable[results.Value]) -> list[str]:
    """Say what intervals do not cover."""
    blocks = [value for value in values if value.low is not None and value.resampled == "blocks of frames"]
    if not blocks:
        return []
    return [
        f"{len(blocks)} intervals are over blocks of frames within these clips, since clips are few: they tell what "
        "other moments of the same clips would give, and nothing of other clips"
    ]


def of_model(
    model: Model, record: results.ModelRecord, n_pairs: int, families: Mapping[str, str], used: Mapping[Split, Faces]
) -> list[str]:
    """Say what limits one row of the table; `families` are those of the judges, by name."""
    warnings = []
    names = [record.name, *(f"{part.who} of {record.name}" for part in model.parts[1:])]
    for name, part in zip(names, model.parts, strict=True):
        if part.origin == "loaded" and part.training is None:
            warnings.append(
                f"{name}: how it was trained is not known (no .json beside its weights): it may have seen "
                "held-out images, and a judge may have been its coach"
            )
        elif part.origin == "loaded" and "train" in used and part.trained_on != used["train"].content_hash():
            warnings.append(
                f"{name} was trained on other data than this training split, and may have seen held-out images"
            )
    if record.failures:
        warnings.append(f"{record.name} {results.failure_rate(record.failures, n_pairs)}")
    for name, part in zip(names, model.parts, strict=True):
        if part.training is not None and part.training.budget == "smoke":
            warnings.append(
                f"{name} was trained for {part.training.steps} steps only (--budget smoke): its figures test the "
                "plumbing, not the model"
            )
    warnings += [
        f"{record.name} was trained against {family}: judge {judge} is its coach, and flatters it"
        for judge, family in families.items()
        if family in record.coaches
    ]
    return warnings
