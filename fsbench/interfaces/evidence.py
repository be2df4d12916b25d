"""What metrics are handed beside outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces.data import Source
from fsbench.interfaces.features import PairedFeatures
from fsbench.interfaces.references import ReferenceIndex

if TYPE_CHECKING:
    from fsbench.pairs import EvaluationSet, Outputs
    from fsbench.stats.calibration import Calibration


VECTORS = "features"
"""What metrics of distributions call the unit vectors of a judge."""


class Evidence(Protocol):
    """What a metric is handed beside outputs and targets: something known of each of N samples."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Return what is known of some of the samples."""
        ...


EvidenceOf = Callable[["Outputs"], Evidence]
"""Gives the evidence for the outputs of one model; raises NotScorable with the reason where there is none."""


class EvidenceKind(Protocol):
    """A kind of evidence, registered under the name that metrics have in `MetricInfo.needs`."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Do what is done once for all models of an evaluation set, before the first output is there."""
        ...


@dataclass(frozen=True)
class Lookalikes:
    """The people that a judge takes each face for, the most similar first; -1 where no face was found."""

    people: tuple[str, ...]  # (P,) the classes of its classifier; without one, the people of the gallery
    output: Tensor  # (N, K) int64, indices into `people`
    references: Tensor  # (R, K)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of outputs, targets and references by one judge, of unit length; a row of NaN: no face was found."""

    judge: str
    output: Tensor  # (N, D)
    target: Tensor  # (N, D)
    references: Tensor  # (R, D) held-out images of all identities, and the gallery
    reference_rows: pd.DataFrame  # columns of Faces.rows, and `split`
    lookalikes: Lookalikes | None = None  # None where the judge has no classifier and there is no gallery
    calibration: Calibration | None = None  # None where the real images give no genuine or no impostor pair
    index: ReferenceIndex | None = None  # of the references, where it was made for many outputs

    @property
    def by_person(self) -> ReferenceIndex:
        """The references by person and session."""
        if self.index is not None and self.index.references is self.references:
            return self.index
        return ReferenceIndex(self.references, self.reference_rows)  # these are others, or copies

    def __getitem__(self, rows: slice) -> Embeddings:
        top = self.lookalikes and replace(self.lookalikes, output=self.lookalikes.output[rows])
        return replace(self, output=self.output[rows], target=self.target[rows], lookalikes=top)

    def features(self, array: str) -> PairedFeatures:
        """The vectors as a `FeatureSpace`; "features" is their name."""
        if array != VECTORS:
            raise NotScorable(f"{self.judge} gives no {array}")
        return PairedFeatures.of(self.output.cpu().numpy(), self.target.cpu().numpy())


@dataclass(frozen=True)
class Observed:
    """Arrays that one observer computed for outputs and targets, by name, (N, ...) each."""

    observer: str  # its specification
    output: Mapping[str, Tensor]  # empty where it is not shown outputs (`ObserverInfo.outputs`)
    target: Mapping[str, Tensor]

    def __getitem__(self, rows: slice) -> Observed:
        output, target = ({name: array[rows] for name, array in side.items()} for side in (self.output, self.target))
        return Observed(self.observer, output, target)

    def features(self, array: str) -> PairedFeatures:
        """One array as a `FeatureSpace`, whatever the shape of its rows; raises NotScorable where it is not there."""
        if array not in self.output or array not in self.target:
            raise NotScorable(f"{self.observer} gives no {array}")
        output, target = (
            side[array].reshape(len(side[array]), -1).cpu().numpy() for side in (self.output, self.target)
        )
        return PairedFeatures.of(output, target)


@dataclass(frozen=True)
class Passes:
    """Outputs after n passes through the model, by n, (N, 3, S, S) each; NaN for an output that was not fed back."""

    images: Mapping[int, Tensor]

    def __getitem__(self, rows: slice) -> Passes:
        return Passes({n: images[rows] for n, images in self.images.items()})


@dataclass(frozen=True)
class FacesInFrame:
    """The faces in the frame of each output, the one that is swapped first; F of them at most, NaN for none."""

    features: Tensor  # (N, F, D) of unit length; NaN where a frame shows one face alone
    changes: Tensor  # (N, F) mean absolute difference in levels that the paste makes there

    def __getitem__(self, rows: slice) -> FacesInFrame:
        return FacesInFrame(self.features[rows], self.changes[rows])


@dataclass(frozen=True)
class Batch:
    """Outputs of one swapper for one source identity, with the evidence that a metric needs.

    For a metric of clips these are all outputs for one clip, in the order of its frames. Frames may be missing: see
    `frame` in `rows`.
    """

    source: Source
    rows: pd.DataFrame  # of the targets, as in Faces.rows
    output: Tensor  # (N, 3, S, S)
    target: Tensor  # (N, 3, S, S)
    mask: Tensor  # (N, 1, S, S) where target or exact swap shows the face; an oval by landmarks where nobody knows
    evidence: Mapping[str, Any] = field(default_factory=dict)  # by its name in MetricInfo.needs

    def __getitem__(self, name: str) -> Any:
        """Return evidence by its name; raises NotScorable with the reason where there is none."""
        evidence = self.evidence.get(name)
        if isinstance(evidence, NotScorable):
            raise evidence
        if evidence is None:
            raise NotScorable(f"there is no evidence {name!r}: MetricInfo.needs has to name it")
        return evidence

    @property
    def exact(self) -> Tensor:
        """The exact swaps, (N, 3, S, S); raises NotScorable where the data set does not know them."""
        exact: Tensor = self["exact"]
        return exact

    @property
    def embeddings(self) -> Embeddings:
        """Embeddings by the judge that the metric is computed for; raises NotScorable where there is none."""
        embeddings: Embeddings = self["judge"]
        return embeddings

    @property
    def lookalikes(self) -> Lookalikes:
        """The people that the judge takes faces for; raises NotScorable where it can name nobody."""
        if self.embeddings.lookalikes is None:
            raise NotScorable(
                f"{self.embeddings.judge} has no classifier and the data set no gallery: there is nobody whom a face "
                "could look like"
            )
        return self.embeddings.lookalikes

    @property
    def calibration(self) -> Calibration:
        """The judge's calibration on the real images; raises NotScorable where they do not suffice."""
        if self.embeddings.calibration is None:
            raise NotScorable(
                f"{self.embeddings.judge} is not calibrated: the real images give no pair of one person in two "
                "sessions, or none of two people"
            )
        return self.embeddings.calibration

    def observed(self, observer: str, array: str) -> tuple[Tensor, Tensor]:
        """An observer's array for outputs and targets, (N, ...) each; raises NotScorable where it is not there."""
        observed: Observed = self[observer]
        if array not in observed.output or array not in observed.target:
            raise NotScorable(f"{observed.observer} gives no {array}")
        return observed.output[array], observed.target[array]

    def take(self, rows: slice) -> Batch:
        """Return some of the outputs."""
        return Batch(
            source=self.source,
            rows=self.rows.iloc[rows].reset_index(drop=True),
            output=self.output[rows],
            target=self.target[rows],
            mask=self.mask[rows],
            evidence={
                name: evidence if isinstance(evidence, NotScorable) else evidence[rows]
                for name, evidence in self.evidence.items()
            },
        )
