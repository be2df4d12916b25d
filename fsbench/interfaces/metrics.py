"""Metrics, and the facts about them that reports rely on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from fsbench.interfaces.evidence import Batch
from fsbench.interfaces.features import PairedFeatures
from fsbench.interfaces.networks import WeightsFile
from fsbench.metric_groups import MetricGroup
from fsbench.record_types import Sample, Stage

Aspect = Literal[
    "identity",
    "detail",
    "colour",
    "blending",
    "geometry",
    "expression",
    "pose",
    "gaze",
    "shake",  # the face jumps as a whole from frame to frame
    "wobble",  # parts of it jump against each other
    "flicker",  # its brightness does
    "pumping",  # its sharpness does
    "lag",  # it moves later than the target
    "stutter",  # it stands still now and then
    "diversity",
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
    group: MetricGroup = "attributes"
    sample: Sample = "output"  # a metric of clips has a value where a data set has clips
    stages: tuple[Stage, ...] = ("crop",)
    measures: tuple[Aspect, ...] = ()  # what it is meant to respond to: `fsbench validate` holds it to that
    weights: tuple[WeightsFile, ...] = ()  # files of a network that the metric runs itself
    missing: str = ""  # what that network lacks on this machine, in a sentence with the remedy
    checked_by: str = ""  # the metric whose value for unchanged targets is the error of this one's estimator
    cautions: tuple[tuple[int, str], ...] = ()  # (n, sentence): said of a value from fewer than n outputs
    min_samples: int = 1
    # outputs that a distribution is computed of: of more a subset is drawn by content; 0 is as many as there are
    max_samples: int = 0
    digits: int = 3  # decimals that make sense to print
    # bootstrap; centred, where resampling adds bias that the interval about the value leaves out; none, where that is
    # not enough
    interval: Literal["bootstrap", "centred", "none"] = "bootstrap"
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
    """One number per model: a `RowMetric` or a `DistributionMetric`."""

    info: MetricInfo


class RowMetric(Metric, Protocol):
    """A metric that looks at each sample by itself.

    Rows are the only state: batching, resuming and intervals are written once, elsewhere. A metric of clips
    (`info.sample`) is handed one whole clip at a time, in the order of its frames, with one source.
    """

    def measure(self, batch: Batch) -> Tensor:
        """One row per sample, (N,) or (N, K), of a clip (1,) or (1, K); a NaN row cannot be scored and is counted."""
        ...

    def summarise(self, rows: np.ndarray) -> float:
        """(M, K) scored rows in any order -> the value, in `info.unit`."""
        ...


@runtime_checkable
class Resampled(Protocol):
    """A row metric whose value needs no new look at all rows for every resample."""

    def statistic(self, rows: np.ndarray) -> Callable[[np.ndarray], float]:
        """(M, K) scored rows -> function from indices of rows, with repeats, to the value of those rows."""
        ...


@runtime_checkable
class Framewise(Protocol):
    """A metric of clips whose row is made of rows of the clip's frames.

    Where clips are few, intervals are made by drawing blocks of their frames again. `measure` gives what `clip_row`
    makes of all frames.
    """

    def frame_rows(self, batch: Batch) -> Tensor:
        """What each frame of one clip adds to the clip's row, (N, K); NaN where a frame says nothing."""
        ...

    def clip_row(self, rows: np.ndarray) -> float:
        """Row of a clip from those of its frames (M, K), in any order and with repeats; NaN where there is none."""
        ...


@runtime_checkable
class Curved(Protocol):
    """A metric of clips that tells where in a clip its value comes from; a report draws it."""

    def curve(self, batch: Batch) -> Tensor:
        """Numbers of the frames of one clip, (N,), in the unit and direction of the value; NaN where there is none."""
        ...


@runtime_checkable
class DistributionMetric(Metric, Protocol):
    """A metric that compares the distribution of outputs with that of their targets, in the space of one network.

    `info.needs` names the network: an observer by its specification, or the judge. `array` names what it gives: that
    of an observer, or "features" for the unit vectors of a judge.
    """

    array: str

    def statistic(self, features: PairedFeatures) -> Callable[[np.ndarray], float]:
        """Return the value as a function of indices of the outputs (N,), with repeats.

        An index takes an output and its target together. The function is called for all outputs, and for resamples.
        """
        ...
