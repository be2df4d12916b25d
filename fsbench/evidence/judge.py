"""The evidence `judge`: embeddings of outputs, targets and references by one judge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fsbench.evidence.references import EnrolledJudge
from fsbench.evidence.targets import TargetFeatures
from fsbench.extraction.features import FaceFeatures
from fsbench.interfaces import Embeddings, Lookalikes, PairedFeatures
from fsbench.interfaces.evidence import VECTORS


@dataclass(frozen=True)
class JudgedOutputs:
    """The features of a model's outputs beside those of their targets and of the references."""

    enrolled: EnrolledJudge
    reference_rows: pd.DataFrame  # as in `RealImages.rows`
    targets: TargetFeatures
    outputs: FaceFeatures

    def __getitem__(self, rows: slice) -> Embeddings:
        """Embeddings of some of the outputs and of their targets."""
        enrolled, references = self.enrolled, self.enrolled.references
        top = self.outputs.top[rows]
        return Embeddings(
            enrolled.judge.name,
            self.outputs.vectors[rows],
            self.targets[rows][VECTORS],
            references.vectors,
            self.reference_rows,
            Lookalikes(enrolled.people, top, references.top) if enrolled.people else None,
            enrolled.calibration,
            enrolled.index,
        )

    def features(self, array: str) -> PairedFeatures:
        """The vectors, as in `Embeddings.features`."""
        return self._vectors if array == VECTORS else self.targets.pair(array, {})

    @cached_property
    def _vectors(self) -> PairedFeatures:
        return self.targets.pair(VECTORS, {VECTORS: self.outputs.vectors})
