"""Which source goes into which target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fsbench.errors import DataError
from fsbench.faces.region import ovals
from fsbench.images import ImageSet
from fsbench.interfaces import Dataset, Faces, Source, Targets, Truth
from fsbench.store import fingerprint

ALL_PAIRS_LIMIT = 3
N_REFERENCES = 8


@dataclass(frozen=True)
class Group:
    """The pairs of one source identity: it goes into every image of `targets`."""

    source: Source
    index: np.ndarray  # rows of the test split
    targets: Faces
    truth: Truth | None

    @property
    def masks(self) -> ImageSet:
        """Where each target, or its exact swap, shows the face, (N, 1, S, S); by landmarks where nobody knows."""
        if self.truth is not None:
            return self.truth.mask
        return self.targets.masks or ovals(self.targets.landmarks, self.targets.crops.pixels.shape[1])

    def cut(self, rows: slice | np.ndarray) -> Group:
        """Return some of the pairs."""
        index = np.arange(len(self.index))[rows]
        truth = Truth(self.truth.exact.select(index), self.truth.mask.select(index)) if self.truth else None
        return Group(self.source, self.index[index], self.targets.select(index), truth)

    def fingerprint(self) -> list[str]:
        """What decides an output, besides the model: name and pixels of the source, targets, and exact swaps."""
        pixels = [ImageSet.of(self.source.images), self.targets.crops, *([self.truth.exact] if self.truth else [])]
        shown = Targets.of(self.targets)
        facts = [shown.landmarks.nan_to_num(-1).tolist(), shown.rows.to_dict("list")]
        return [self.source.identity, fingerprint(facts), *(images.content_hash() for images in pixels)]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a run, in the order of samples.parquet: group by group."""

    groups: tuple[Group, ...]
    rule: str

    def __len__(self) -> int:
        return sum(len(group.index) for group in self.groups)

    @property
    def index(self) -> np.ndarray:
        """Row of the test split that each pair has as its target, (N,)."""
        return np.concatenate([group.index for group in self.groups])

    @property
    def targets(self) -> ImageSet:
        """The target image of each pair, (N, 3, S, S)."""
        return ImageSet(np.concatenate([group.targets.crops.pixels for group in self.groups]))

    @cached_property
    def masks(self) -> ImageSet:
        """Where each target, or its exact swap, shows the face, (N, 1, S, S)."""
        return ImageSet(np.concatenate([group.masks.pixels for group in self.groups]))

    @property
    def rows(self) -> pd.DataFrame:
        """The targets' rows, with a column `source`, (N, ...)."""
        return pd.concat(
            [group.targets.rows.assign(source=group.source.identity) for group in self.groups], ignore_index=True
        )


def make_pairs(dataset: Dataset, test: Faces) -> Pairs:
    """Pair every held-out image with the other identities; raises DataError where there is only one.

    Up to three identities: every image with every other identity. More: every still, and every clip as a whole, with
    one other identity, in turn, so that the cost grows with the images and every ordered pair of identities takes part.
    """
    names = test.identities
    if len(names) < 2:
        raise DataError(
            f"{dataset.info.name} has {len(names)} identity to swap, two are needed", "add a second identity"
        )
    owner = test.rows["identity"].to_numpy()
    source_of = np.full((len(test), len(names)), False)
    for position, name in enumerate(names):
        own = np.flatnonzero(owner == name)
        others = [k for k in range(len(names)) if k != position]
        if len(names) <= ALL_PAIRS_LIMIT:
            source_of[np.ix_(own, np.array(others))] = True
        else:
            source_of[own, [others[(position + i) % len(others)] for i in _turns(test.rows.iloc[own])]] = True
    groups = []
    for column, name in enumerate(names):
        index = np.flatnonzero(source_of[:, column])
        if len(index):
            targets = test.select(index)
            groups.append(Group(_source(dataset, test, name), index, targets, dataset.truth(name, targets)))
    rule = (
        "every held-out image with every other identity"
        if len(names) <= ALL_PAIRS_LIMIT
        else "every held-out image with one other identity, in turn"
    )
    return Pairs(tuple(groups), rule)


def _turns(rows: pd.DataFrame) -> np.ndarray:
    """Number what takes turns, (N,) from 0: every still by itself, all frames of a clip together."""
    clip = rows["session"].astype(str) + "/" + rows["clip"].astype(str)
    found: np.ndarray = pd.factorize(clip.where(rows["clip"] != "", rows["id"].astype(str)))[0]
    return found


def _source(dataset: Dataset, test: Faces, identity: str) -> Source:
    """Reference images come from training sessions, so that no swapper is shown what it is judged against."""
    faces = (dataset.faces("train") if "train" in dataset.info.splits else test).of(identity)
    chosen = np.unique(np.linspace(0, len(faces) - 1, N_REFERENCES).round().astype(int))
    return Source(identity, faces.crops[chosen])
