"""The evidence `judge`: embeddings of outputs, targets and references by one judge."""

from __future__ import annotations

import torch
from torch import Tensor

from fsbench.evidence.references import EnrolledJudge
from fsbench.extraction.features import FaceFeatures
from fsbench.interfaces import Embeddings, Lookalikes
from fsbench.pairs import EvaluationSet


def embeddings(
    enrolled: EnrolledJudge, evaluation: EvaluationSet, targets: Tensor, outputs: FaceFeatures
) -> Embeddings:
    """Put the features of a model's outputs beside those of their targets and of the references.

    `targets` (T, D) are the vectors of `EvaluationSet.targets`.
    """
    references = enrolled.references
    lookalikes = Lookalikes(enrolled.people, outputs.top, references.top) if enrolled.people else None
    return Embeddings(
        enrolled.judge.name,
        outputs.vectors,
        targets[torch.from_numpy(evaluation.pairs.index)],
        references.vectors,
        evaluation.real.rows,
        lookalikes,
        enrolled.calibration,
    )
