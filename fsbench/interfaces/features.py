"""Features of outputs and of their targets by one network: what metrics of distributions are handed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from fsbench.errors import NotScorable

BLOCK = 1024
"""Rows that are read at a time."""


def row_blocks(n: int) -> Iterator[slice]:
    """Cut `n` rows into consecutive blocks."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


@dataclass(frozen=True)
class PairedFeatures:
    """Features of outputs, and of the different target images that they were made from, by one network.

    The arrays are float32, shared by all metrics, cannot be written to and may lie in files: read them block by block
    where there are many. All outputs that a metric is handed count.
    """

    output: np.ndarray  # (N, D)
    target: np.ndarray  # (T, D), of images that differ
    target_of: np.ndarray  # (N,) row of `target` for each output
    scored: np.ndarray  # (N,) bool: outputs that count; the others may be NaN

    def __post_init__(self) -> None:
        for name in ("output", "target", "target_of", "scored"):
            view = np.asarray(getattr(self, name)).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def of(cls, output: np.ndarray, target: np.ndarray) -> PairedFeatures:
        """Take features of each output and of its target, (N, D) each; raises NotScorable as `SharedTargets.pair`."""
        return SharedTargets(target).pair(output, np.arange(len(target)))

    def __len__(self) -> int:
        return len(self.output)

    def only(self, keep: np.ndarray) -> PairedFeatures:
        """Return the same features, of which at most the outputs in `keep` (N,) bool count."""
        return self if keep[self.scored].all() else replace(self, scored=self.scored & keep)

    def take(self, index: np.ndarray) -> PairedFeatures:
        """Return some of the outputs (M,), with repeats, and their targets; what is taken whole is not copied."""
        whole = len(index) == len(self) and bool((index == np.arange(len(self))).all())
        used, target_of = np.unique(self.target_of[index], return_inverse=True)
        output = self.output if whole else self.output[index]
        target = self.target if len(used) == len(self.target) else self.target[used]
        return PairedFeatures(output, target, target_of, self.scored[index])

    def drawn(self, n: int, seed: int = 0) -> np.ndarray:
        """Choose `n` of the outputs that count, (N,) bool; by the content of their features, whatever their order."""
        members = np.flatnonzero(self.scored)
        key = seed.to_bytes(8, "little")
        digests = [
            hashlib.blake2b(self.output[i].tobytes() + self.target[self.target_of[i]].tobytes(), key=key).digest()
            for i in members
        ]
        order = sorted(range(len(members)), key=digests.__getitem__)
        chosen = np.zeros(len(self), bool)
        chosen[members[order[:n]]] = True
        return chosen


class SharedTargets:
    """Features of targets (T, D), prepared once for the outputs of all models.

    Targets whose features are equal to the last bit are one image. A row of NaN is a target without features.
    """

    def __init__(self, features: np.ndarray) -> None:
        number = content(features)
        first = np.unique(number, return_index=True)[1]
        repeated = len(first) < len(features)
        self._different = features[first] if repeated else features  # which need not be copied
        self._number = number if repeated else np.arange(len(features))
        self._known = _known(self._different)

    def pair(self, output: np.ndarray, index: np.ndarray) -> PairedFeatures:
        """Pair outputs (N, D) with the targets in rows `index` (N,).

        An output counts where both have features. Raises NotScorable for features that are infinite.
        """
        target_of = self._number[index]
        return PairedFeatures(output, self._different, target_of, _known(output) & self._known[target_of])


@runtime_checkable
class FeatureSpace(Protocol):
    """Evidence that metrics of distributions can be computed of."""

    def features(self, array: str) -> PairedFeatures:
        """Return what an array holds of all outputs and targets; raises NotScorable where it is not there."""
        ...


def content(rows: np.ndarray) -> np.ndarray:
    """Number the different rows of (M, D) from 0, (M,): rows that are equal to the last bit have the same number."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows]
    numbers: np.ndarray = np.unique(digests, return_inverse=True)[1]
    return numbers


def _known(rows: np.ndarray) -> np.ndarray:
    """Which rows (M, D) are not NaN, (M,)."""
    known = np.ones(len(rows), bool)
    for block in row_blocks(len(rows)):
        known[block] = ~np.isnan(rows[block]).any(1)
        if np.isinf(rows[block]).any():
            raise NotScorable("features of some images are not finite: the network, or what it was given, is broken")
    return known
