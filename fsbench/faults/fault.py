"""The interface of a fault: its input is the perfect outputs of some pairs, and what is known about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from fsbench.datasets.synthetic import Synthetic
from fsbench.datasets.synthetic.scenes import Change
from fsbench.errors import BadParameter, DataError
from fsbench.images import ImageSet
from fsbench.interfaces import Aspect, Faces

TEMPORAL: tuple[Aspect, ...] = ("shake", "wobble", "flicker", "pumping", "lag", "stutter")
"""Aspects that show between frames: faults of these are shown on clips."""


@dataclass(frozen=True)
class Scene:
    """The pairs of one source identity with their perfect outputs; entry i of every field belongs to target i."""

    dataset: Synthetic
    source: str
    targets: Faces
    exact: ImageSet  # (N, 3, S, S)
    mask: ImageSet  # (N, 1, S, S) where target or exact output shows the face
    sources: ImageSet  # (N, 3, S, S) images of the source, of sessions to train on

    @classmethod
    def of(cls, dataset: Synthetic, source: str, targets: Faces) -> Scene:
        """Draw what the store does not have. The target's id selects the image of the source that goes with it."""
        truth, own = dataset.truth(source, targets), dataset.faces("train").of(source)
        if len(own) == 0:
            raise DataError(f"{dataset.info.name} has no images of {source} to train on", "take a person of its split")
        chosen = np.array([chance("source", str(row)).integers(len(own)) for row in targets.rows["id"]], np.int64)
        return cls(dataset, source, targets, truth.exact, truth.mask, own.crops.select(chosen))

    @property
    def ids(self) -> list[str]:
        """Names of the targets, which seed everything random."""
        return [str(row) for row in self.targets.rows["id"]]


Effect = Callable[[Scene, float], ImageSet]
"""Makes the faulty outputs (N, 3, S, S) of a scene at a strength above 0."""


@dataclass(frozen=True)
class Drawn:
    """An effect that the data set draws; `change` maps a strength to the change of the drawing."""

    change: Callable[[float], Change]

    def __call__(self, scene: Scene, strength: float) -> ImageSet:
        return scene.dataset.variants(scene.source, scene.targets, self.change(strength))


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with outputs, to a known extent."""

    name: str
    aspect: Aspect  # a metric that measures it is expected to respond
    unit: str  # of a strength; pixels are those of a crop with 128 a side
    strengths: tuple[float, ...]  # increasing, five at least: from barely visible to gross
    description: str  # one sentence: what it is, and how its extent is known
    effect: Effect
    also: tuple[Aspect, ...] = ()  # aspects that are necessarily wrong as well
    clips: bool = False  # visible between frames, or on few of them: refused on stills

    def __post_init__(self) -> None:
        if len(self.strengths) < 5 or any(b <= a for a, b in zip((0.0, *self.strengths), self.strengths, strict=False)):
            raise BadParameter(f"the strengths of {self.name} are no ladder", "five or more, increasing, above 0")

    @property
    def drawn(self) -> bool:
        """Whether it is rendered anew, which takes far longer than changing pixels."""
        return isinstance(self.effect, Drawn)

    def apply(self, scene: Scene, strength: float) -> ImageSet:
        """Return the outputs with this fault, (N, 3, S, S); at strength 0 the exact ones.

        Random numbers are a function of the fault and a target's id. They depend neither on the other targets, nor on
        their order, nor on the strength: a stronger fault is the same fault. `lag` and `frozen` show other outputs of
        the scene. Raises BadParameter for a strength beyond the last, DataError for stills where the fault needs clips.
        """
        if not 0 <= strength <= self.strengths[-1]:
            raise BadParameter(f"{self.name} has no strength {strength:g}", f"it is 0 to {self.strengths[-1]:g}")
        if self.clips and (scene.targets.rows["clip"] == "").any():
            raise DataError(f"{self.name} needs clips and got stills", "take the split clips")
        return self.effect(scene, strength) if strength else scene.exact


def draw_ahead(scene: Scene, faults: Iterable[Fault]) -> None:
    """Draw everything that faults need of a scene at once, with one progress bar and all cores."""
    changes = [
        fault.effect.change(strength)
        for fault in faults
        if isinstance(fault.effect, Drawn)
        for strength in fault.strengths
    ]
    scene.dataset.draw_variants(scene.source, scene.targets, changes)


def chance(what: str, row: str) -> np.random.Generator:
    """Return the random numbers of one image, by its id."""
    digest = hashlib.sha256(f"{what}/{row}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
