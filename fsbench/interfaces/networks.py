"""Embedders and observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from fsbench.choices import Precision


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
    concurrent: bool = False  # `embed` may be called from several threads at once
    precision: Precision = "float32"  # what it computes in; that of the context where it uses `Context.reduced`
    batch: int = 1  # crops that it is shown at once on a CPU, filled up by repeats; 0: any number, each for itself


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


@dataclass(frozen=True)
class ObserverInfo:
    """What a network that looks at images says about itself."""

    weights: tuple[WeightsFile, ...]  # the files it was made from, found when it is constructed
    description: str
    version: int = 1  # raised whenever what it tells could change
    concurrent: bool = False  # `observe` may be called from several threads at once
    precision: Precision = "float32"  # what it computes in; that of the context where it uses `Context.reduced`
    batch: int = 1  # as in EmbedderInfo; of no meaning for clips
    unit: Literal["image", "clip"] = "image"  # clip: it is shown the frames of one clip at a time, in their order
    outputs: bool = True  # whether outputs are shown to it too, beside the real images that are their targets


class Observer(Protocol):
    """A network that tells facts about images (features, landmarks, angles), but not who a face is."""

    info: ObserverInfo

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels, NaN where no face was found -> arrays by name.

        Each array is (N, ...) float32, with a row of NaN where the network sees nothing; what it tells of an image does
        not depend on the others. One of clips (`info.unit`) is shown all frames of one clip, and what it tells of a
        frame may depend on the others of that clip; it is not asked about stills.
        """
        ...
