"""Swappers, refiners and wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.interfaces.data import Faces, Progress, Source, clip_names

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Targets:
    """What a model is shown; entry i of every field belongs to image i.

    `rows` has the columns `id`, `clip` and `frame` (int). Images with the same `clip` are frames of one video; it is ""
    for a still. `id` names an image in its data set, as a relative path.
    """

    images: Tensor  # (N, 3, S, S)
    landmarks: Tensor  # (N, 5, 2) float32, pixels of the crop: eyes, nose tip, mouth corners, image-left first
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, faces: Faces, device: torch.device | str = "cpu") -> Targets:
        """Make targets of aligned faces; the names of clips get those of identity and session before them."""
        frame = faces.rows["frame"].astype(int)
        shown = pd.DataFrame({"id": faces.rows["id"].astype(str), "clip": clip_names(faces.rows), "frame": frame})
        landmarks = torch.from_numpy(np.array(faces.landmarks, np.float32))
        return cls(faces.crops.on(device), landmarks.to(device), shown.reset_index(drop=True))

    def select(self, index: slice | list[int]) -> Targets:
        """Return some of the targets, in the order of `index`."""
        rows = self.rows.iloc[index].reset_index(drop=True)
        return Targets(self.images[index], self.landmarks[index], rows)


@dataclass(frozen=True)
class Swapped:
    """What a model made of some targets."""

    images: Tensor  # (N, 3, S, S)
    alpha: Tensor | None = None  # (N, 1, S, S) in [0, 1]: 0 where the target was left as it is; None: not known
    absent: tuple[str, ...] = ()  # of each target "", or "missing" or "unreadable" where it has no output; (): all have

    @classmethod
    def of(cls, output: Swapped | Tensor) -> Swapped:
        """Return the output of any swapper or refiner as Swapped; a bare tensor has no alpha."""
        return output if isinstance(output, Swapped) else cls(output)


class Swapper(Protocol):
    """Puts the source's face into target images.

    A baseline, which is measured but does not compete, has a true attribute `baseline`; tables set it apart. One that
    only reads what was made before has a true attribute `precomputed`: its time says nothing of a model. A swapper,
    refiner or wrapper that is made from pretrained files has an attribute `weights_files`, a tuple of WeightsFile: they
    stand in the result, and what it computes is kept under their hashes. Where it is conditioned on recognisers, or was
    trained elsewhere against some, an attribute `coaches` names their families.
    """

    def swap(self, source: Source, targets: Targets) -> Swapped | Tensor:
        """Return (N, 3, S, S) outputs; output i shows the source's face in the scene of target i."""
        ...


@runtime_checkable
class CodeSwapper(Protocol):
    """A swapper that goes through a code, which a wrapper may change: `swap` is `decode` after `encode`."""

    def swap(self, source: Source, targets: Targets) -> Swapped | Tensor:
        """As any swapper."""
        ...

    def encode(self, targets: Targets) -> Tensor:
        """Return codes (N, ...) of targets; they do not depend on the source."""
        ...

    def decode(self, codes: Tensor, source: Source, targets: Targets) -> Swapped | Tensor:
        """Return (N, 3, S, S) outputs; output i shows the source's face as code i has it, in the scene of target i."""
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

        It is called when all parts before it are trained. In a pipeline `swapper` always returns Swapped. It is a
        CodeSwapper where the only part before it is one.
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
