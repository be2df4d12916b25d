"""What a plug-in has to look like. No base class is needed: these are Protocols, and `fsbench.contracts` tests them.

Images in memory are float32 RGB tensors `(N, 3, H, W)` in [0, 1], everywhere. A *crop* is an aligned face image of
the data set's size; landmarks are pixels of the crop, x to the right and y down, pixel centres at .5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.files import Unused
from fsbench.metric_groups import Group

if TYPE_CHECKING:
    from fsbench.images import ImageSet
    from fsbench.pairs import EvaluationSet, Outputs
    from fsbench.stats.calibration import Calibration
    from fsbench.store import Store

Split = Literal["train", "test", "clips", "gallery"]
SPLITS: tuple[Split, ...] = ("train", "test", "clips", "gallery")


class Progress(Protocol):
    """Told how far a long piece of work is; `figures` are shown beside the bar (losses, rates)."""

    def __call__(self, done: float, total: float, figures: Mapping[str, float] = ...) -> None: ...


def silent(done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class Context:
    """What a run offers its plug-ins; one whose constructor names a parameter `context` is given it."""

    device: torch.device
    store: Store
    data_root: Path
    path: str = ""  # what followed `@` or `:` in the specification
    stage: Callable[[str], Progress] = lambda title: silent  # opens a progress bar with that title
    log: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Faces:
    """Aligned crops and what is known about each; entry i of every field belongs to crop i.

    `rows` has the columns `id` (unique, usable as a relative path), `identity`, `session`, `clip` ("" for a still) and
    `frame` (int), and any number of float columns with facts about the image (`yaw`, `pitch` in degrees, ...).
    """

    crops: ImageSet  # (N, 3, S, S)
    rows: pd.DataFrame
    landmarks: np.ndarray  # (N, 5, 2) float32: eyes, nose tip, mouth corners, image-left first
    masks: ImageSet | None = None  # (N, 1, S, S) face region, where it is known

    def __len__(self) -> int:
        return len(self.rows)

    def content_hash(self) -> str:
        """SHA-256 over pixels, names, facts, landmarks and masks, 64 hex digits."""
        digest = hashlib.sha256(self.crops.content_hash().encode())
        digest.update(self.rows.to_csv(index=False).encode())
        digest.update(np.ascontiguousarray(self.landmarks, np.float32).tobytes())
        digest.update((self.masks.content_hash() if self.masks is not None else "").encode())
        return digest.hexdigest()

    @property
    def identities(self) -> list[str]:
        """Names in order of first appearance."""
        return [str(name) for name in self.rows["identity"].unique()]

    def select(self, keep: np.ndarray | Sequence[int]) -> Faces:
        """Return the entries that a boolean mask or a list of indices names, in that order."""
        keep = np.asarray(keep)
        index = np.flatnonzero(keep) if keep.dtype == bool else keep.astype(np.int64)
        return Faces(
            self.crops.select(index),
            self.rows.iloc[index].reset_index(drop=True),
            self.landmarks[index],
            self.masks.select(index) if self.masks is not None else None,
        )

    def of(self, identity: str) -> Faces:
        """Return the entries of one identity."""
        return self.select((self.rows["identity"] == identity).to_numpy())


@dataclass(frozen=True)
class Source:
    """The person whose identity an output should show."""

    identity: str
    images: Tensor  # (K, 3, S, S) training crops, spread over sessions


@dataclass(frozen=True)
class Truth:
    """The exact answer to a set of pairs."""

    exact: ImageSet  # (N, 3, S, S)
    mask: ImageSet  # (N, 1, S, S) where target or exact output shows the face


# ------------------------------------------------------------------------------------------------------- data sets


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set says about itself; `notes` and `warnings` are printed and stored with every result."""

    name: str
    revision: str  # changes whenever an image, a split or a crop could change
    size: int  # pixels, height and width of a crop
    description: str
    licence: str
    splits: tuple[Split, ...]
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[Unused, ...] = ()  # files and folders that were there, by reason; `warnings` tells of them in short


class Dataset(Protocol):
    """Aligned face images of several identities, split by session."""

    @property
    def info(self) -> DatasetInfo: ...

    def faces(self, split: Split) -> Faces:
        """Return one split; raises DataError where the data set does not have it."""
        ...

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return the exact swaps of identity `source` into entries of this data set, None where they are not known."""
        ...


# ---------------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class Targets:
    """What a model is shown; entry i of every field belongs to image i.

    `rows` has the columns `clip` and `frame` (int). Images with the same `clip` are frames of one video; it is "" for a
    still.
    """

    images: Tensor  # (N, 3, S, S)
    landmarks: Tensor  # (N, 5, 2) float32, pixels of the crop: eyes, nose tip, mouth corners, image-left first
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, faces: Faces, device: torch.device | str = "cpu") -> Targets:
        """Make targets of aligned faces; the names of clips get those of identity and session before them."""
        rows, still = faces.rows, faces.rows["clip"] == ""
        names = rows["identity"].astype(str) + "/" + rows["session"].astype(str) + "/" + rows["clip"].astype(str)
        shown = pd.DataFrame({"clip": names.mask(still, ""), "frame": rows["frame"].astype(int)})
        landmarks = torch.from_numpy(np.array(faces.landmarks, np.float32))
        return cls(faces.crops[:].to(device), landmarks.to(device), shown.reset_index(drop=True))

    def select(self, index: slice | list[int]) -> Targets:
        """Return some of the targets, in the order of `index`."""
        rows = self.rows.iloc[index].reset_index(drop=True)
        return Targets(self.images[index], self.landmarks[index], rows)


@dataclass(frozen=True)
class Swapped:
    """What a model made of some targets."""

    images: Tensor  # (N, 3, S, S)
    alpha: Tensor | None = None  # (N, 1, S, S) in [0, 1]: 0 where the target was left as it is; None: not known

    @classmethod
    def of(cls, output: Swapped | Tensor) -> Swapped:
        """Return the output of any swapper or refiner as Swapped; a bare tensor has no alpha."""
        return output if isinstance(output, Swapped) else cls(output)


class Swapper(Protocol):
    """Puts the source's face into target images.

    A baseline, which is measured but does not compete, has a true attribute `baseline`; tables set it apart.
    """

    def swap(self, source: Source, targets: Targets) -> Swapped | Tensor:
        """Return (N, 3, S, S) outputs; output i shows the source's face in the scene of target i."""
        ...


@runtime_checkable
class Oracle(Protocol):
    """A baseline that is shown the exact answer: the ceiling of a table."""

    def reveal(self, truth: Tensor) -> Tensor:
        """(N, 3, H, W) exact swaps -> (N, 3, H, W) outputs."""
        ...


class Refiner(Protocol):
    """Improves the outputs of a pipeline."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped | Tensor:
        """Return (N, 3, S, S) outputs.

        `output` has the 8-bit levels that are measured where the pipeline ends before this refiner; its alpha may be
        None. A bare tensor has no alpha: a refiner that keeps it returns `Swapped(images, output.alpha)`.
        """
        ...


class Wrapper(Protocol):
    """Makes a swapper out of a swapper. In a pipeline it wraps all parts before it, as one swapper."""

    def wrap(self, swapper: Swapper) -> Swapper:
        """Return a swapper that calls `swapper` as often as it wants, with any targets.

        It is called when all parts before it are trained. In a pipeline `swapper` always returns Swapped.
        """
        ...


@dataclass(frozen=True)
class Budget:
    """How long to train: exactly one of `steps` and `seconds` is given. A step budget gives the same model again."""

    steps: int | None = None
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Training:
    """What a training run did, stored with the result."""

    steps: int
    seconds: float  # over all sessions, where it was interrupted and resumed
    settings: Mapping[str, Any] = field(default_factory=dict)  # size, batch, parameters, ... as JSON values
    coaches: tuple[str, ...] = ()  # families of recognisers in the loss; such a judge is flagged
    notes: tuple[str, ...] = ()


@runtime_checkable
class Trainable(Protocol):
    """A swapper or refiner (or wrapper) that learns from the training sessions, or is loaded from `name@PATH`.

    One that learns from more than its data (the weights of a coach) has an attribute `inputs` with their hashes, JSON
    values by name: a training that was finished before is taken only where they are the same.
    """

    budgets: Mapping[str, int]  # steps of the named budgets smoke, short and full

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Train on `data`; write `checkpoint` atomically now and then, and go on from it where it is there."""
        ...

    def save(self, path: Path) -> None:
        """Write what `load` needs as one safetensors file."""
        ...

    def load(self, path: Path) -> None:
        """Raises CheckpointError for a damaged file and for one of another architecture."""
        ...


# ------------------------------------------------------------------------------------------------------- embedders


@dataclass(frozen=True)
class WeightsFile:
    """A pretrained file as it lies on this machine."""

    name: str  # in the catalogue; the file's name where it is the user's own
    path: Path
    sha256: str
    licence: str
    note: str = ""  # what a reader of the result should know: pinned at first use, not for commercial use, ...


@dataclass(frozen=True)
class EmbedderInfo:
    """What a network says about itself."""

    family: str  # networks trained together: a judge of a coach's family is flagged
    dim: int
    weights: tuple[WeightsFile, ...]  # the files it was made from, found when it is constructed
    description: str
    version: int = 1  # raised whenever alignment or preprocessing changes
    classes: tuple[str, ...] = ()  # names of the people that its classifier knows; empty without a classifier


class Embedder(Protocol):
    """A face network, with its own alignment and preprocessing inside."""

    info: EmbedderInfo

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, dim) features, not normalised."""
        ...


class Classifier(Embedder, Protocol):
    """An embedder that also tells which of the people in `info.classes` a face looks like."""

    def classify(self, features: Tensor) -> Tensor:
        """(N, dim) as `embed` gave them -> (N, len(info.classes)) logits."""
        ...


# ------------------------------------------------------------------------------------------------------- observers


@dataclass(frozen=True)
class ObserverInfo:
    """What a network that looks at images says about itself."""

    weights: tuple[WeightsFile, ...]  # the files it was made from, found when it is constructed
    description: str
    version: int = 1  # raised whenever what it tells could change


class Observer(Protocol):
    """A network that tells facts about images (features, landmarks, angles), but not who a face is."""

    info: ObserverInfo

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels, NaN where no face was found -> arrays by name.

        Each array is (N, ...) float32, with a row of NaN where the network sees nothing; what it tells of an image does
        not depend on the others.
        """
        ...


# --------------------------------------------------------------------------------------------------------- metrics


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

    def __getitem__(self, rows: slice) -> Embeddings:
        top = self.lookalikes and replace(self.lookalikes, output=self.lookalikes.output[rows])
        return replace(self, output=self.output[rows], target=self.target[rows], lookalikes=top)


@dataclass(frozen=True)
class Observed:
    """Arrays that one observer computed for outputs and targets, by name, (N, ...) each."""

    observer: str  # its specification
    output: Mapping[str, Tensor]
    target: Mapping[str, Tensor]

    def __getitem__(self, rows: slice) -> Observed:
        output, target = ({name: array[rows] for name, array in side.items()} for side in (self.output, self.target))
        return Observed(self.observer, output, target)


@dataclass(frozen=True)
class Passes:
    """Outputs after n passes through the model, by n, (N, 3, S, S) each; NaN for an output that was not fed back."""

    images: Mapping[int, Tensor]

    def __getitem__(self, rows: slice) -> Passes:
        return Passes({n: images[rows] for n, images in self.images.items()})


@dataclass(frozen=True)
class Batch:
    """Outputs of one swapper for one source identity, with the evidence that a metric needs."""

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
            evidence={name: evidence if isinstance(evidence, NotScorable) else evidence[rows]
                      for name, evidence in self.evidence.items()},
        )



Aspect = Literal[
    "identity", "detail", "colour", "blending", "geometry", "expression", "pose", "gaze", "temporal", "diversity"
]
"""What may be wrong with outputs; `fsbench validate` has faults of each kind."""


@dataclass(frozen=True)
class MetricInfo:
    """Facts about a metric that reports and gates rely on. Results copy the fields that their MetricRecord has too."""

    unit: str  # "" for a pure number
    direction: Literal["higher", "lower"]  # which is better
    bounds: tuple[float, float]
    needs: tuple[str, ...]  # evidence: judge, exact, recursion, the specification of an observer, or of another kind
    no_face: str  # what happens to an output in which no face is found
    reference: str  # paper and section, or where the definition comes from
    group: Group = "attributes"
    measures: tuple[Aspect, ...] = ()  # what it is meant to respond to: `fsbench validate` holds it to that
    weights: tuple[WeightsFile, ...] = ()  # files of a network that the metric runs itself
    missing: str = ""  # what that network lacks on this machine, in a sentence with the remedy
    checked_by: str = ""  # the metric whose value for unchanged targets is the error of this one's estimator
    cautions: tuple[tuple[int, str], ...] = ()  # (n, sentence): said of a value from fewer than n outputs
    min_samples: int = 1
    digits: int = 3  # decimals that make sense to print
    # centred: moved so that its mean is the value, for statistics that few samples bias; none where that is not enough
    interval: Literal["percentile", "centred", "none"] = "percentile"
    resamples: int = 0  # at most, for statistics that take long; 0 is as many as the run has
    version: int = 1  # raised whenever the definition changes: values of two versions are not compared
    headline: bool = False  # may rank the models, over judges: it stands first in tables, under every judge
    summary_rank: int = 0  # place in a report's first table and on the terminal, the smallest first; 0 for none
    verification_rank: int = 0  # the same for the table of metrics that say whether an output passes as a person
    verdict: str = ""  # "{value} of its outputs ...": a sentence of the report's verdict on each contestant

    def __post_init__(self) -> None:
        """Refuse a headline without judge, since models are ranked over judges, and what results cannot hold."""
        if self.headline and "judge" not in self.needs:
            raise ValueError('a headline metric needs a judge: needs=("judge",)')
        if min(self.summary_rank, self.verification_rank) < 0:
            raise ValueError("places in tables are not negative")
        if self.verdict and "{value}" not in self.verdict:
            raise ValueError("the sentence `verdict` has no {value}")


class Metric(Protocol):
    """One number per model. Rows are the only state: batching, resuming and intervals are written once, elsewhere."""

    info: MetricInfo

    def measure(self, batch: Batch) -> Tensor:
        """One row per output, (N,) or (N, K); a NaN row cannot be scored and is counted."""
        ...

    def summarise(self, rows: np.ndarray) -> float:
        """(M, K) scored rows in any order -> the value, in `info.unit`."""
        ...


@runtime_checkable
class Resampled(Protocol):
    """A metric whose value needs no new look at all rows for every resample."""

    def statistic(self, rows: np.ndarray) -> Callable[[np.ndarray], float]:
        """(M, K) scored rows -> function from indices of rows, with repeats, to the value of those rows."""
        ...
