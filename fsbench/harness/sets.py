"""Evaluation sets: the stills and the clips of a test split, each with its pairs and the metrics that apply to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fsbench.config import Plan
from fsbench.errors import DataError
from fsbench.evidence.references import enrol, find_faces
from fsbench.extraction.features import find_landmarks
from fsbench.files import some
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.frames import FrameStage
from fsbench.harness.instruments import Instruments
from fsbench.harness.pair_choice import PairChoice
from fsbench.harness.splits import Splits
from fsbench.harness.strangers import gather
from fsbench.interfaces import Context, Faces, Sample, clip_names
from fsbench.pairs import EvaluationSet
from fsbench.record_types import SetName

PreparedSets = Mapping[SetName, PreparedSet]
"""The evaluation sets of a run. The first one is that of metrics of outputs: the stills, where there are any."""


def by_set(test: Faces) -> dict[SetName, Faces]:
    """Split a test split in stills and clips, as far as there are any; frames of a clip stand side by side, in order.

    Raises DataError where two images are the same frame of a clip.
    """
    clip, frame = clip_names(test.rows).to_numpy(str), test.rows["frame"].to_numpy(int)
    frames, stills = np.flatnonzero(clip != ""), np.flatnonzero(clip == "")
    names, first, number = np.unique(clip[frames], return_index=True, return_inverse=True)
    order = frames[np.lexsort((frame[frames], first[number]))]  # clips as they first appear
    same = (clip[order][1:] == clip[order][:-1]) & (frame[order][1:] == frame[order][:-1])
    if same.any():
        twice = some([f"{clip[k]} frame {frame[k]}" for k in order[1:][same]])
        raise DataError(f"frames stand twice in the test split: {twice}", "give each frame of a clip its own number")
    if not len(names):
        return {"stills": test}
    clips: dict[SetName, Faces] = {"clips": test.select(order)}
    return {"stills": test.select(stills), **clips} if len(stills) else clips


def prepare(plan: Plan, instruments: Instruments, splits: Splits, choice: PairChoice, context: Context) -> PreparedSets:
    """Read held-out images and strangers, and extract the features of each set that a metric applies to.

    Judges are enrolled once. Metrics of outputs are computed on stills, and on the frames of clips where there are no
    stills. Stills are the references of clips as well: frames of one clip are nearly one image. Of a run that looks at
    frames these are the crops that go there: metrics look at them where `plan.stage` is both. `choice` says which pairs
    are measured; the references are the same whatever it says.
    """
    test = splits["test"]
    gallery = splits.add_gallery(gather(splits.dataset, test, plan.gallery, context))
    targets = by_set(test)
    first = next(iter(targets))
    chosen = choice.pairs(splits.dataset, test, targets)
    main = next(iter(chosen))
    real = find_faces(targets[first], gallery, context)
    judges = {judge.name: enrol(judge, real, context) for judge in instruments.judges}
    evaluations: dict[SetName, PreparedSet] = {}
    for name, pairs in chosen.items():
        own, faces = instruments.of_samples(_samples(name, main), every_judge=name == main), targets[name]
        if name != main and not own.metrics:
            continue
        if plan.stage != "crop":
            own = own.at("crop" if plan.stage == "both" else None, every_judge=name == main)
        landmarks = real.test_landmarks if name == first else find_landmarks(faces.crops, "held-out clips", context)
        ready = EvaluationSet(pairs, faces, landmarks, real, name, named=bool(plan.metrics))
        evaluations[name] = PreparedSet.of(own, ready, judges, context)
    return evaluations


def of_frames(stage: FrameStage, crops: PreparedSets, instruments: Instruments) -> PreparedSets:
    """Prepare the frames of the same sets, for the metrics that look there."""
    main, first = next(iter(crops.items()))
    evaluations: dict[SetName, PreparedSet] = {}
    for name, evaluation in crops.items():
        own = instruments.of_samples(_samples(name, main), every_judge=False).at("frame", every_judge=False)
        if own.metrics:
            evaluations[name] = stage.evaluation(evaluation, own, first.judges)
    return evaluations


def _samples(name: SetName, main: SetName) -> list[Sample]:
    """What the rows of metrics stand for that are computed on a set."""
    return [*(["output"] if name == main else []), *(["clip"] if name == "clips" else [])]  # type: ignore[list-item]
