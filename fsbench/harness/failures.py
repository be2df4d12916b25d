"""Pairs on which a model failed, and what they count as: else whoever fails on the hard ones would stand first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import get_args

import numpy as np

from fsbench.harness.measurements import Measured, column, only, scored, with_failures
from fsbench.images import ImageSet
from fsbench.interfaces import Metric
from fsbench.record_types import ABSENT
from fsbench.results import Failure
from fsbench.stats.failures import count_failures, floor_of

UNCHANGED_LEVELS = 3.0
"""Mean absolute difference inside the face, in levels of 255, up to which an output counts as its target.

LFW photographs saved again and cut at 128 pixels differ by 0.4 (JPEG, quality 95) to 2.4 (quality 60) on average; the
exact swaps of synthetic people differ by 12 and more.
"""

RULE = (
    "a pair on which a contestant failed (no output, an unreadable one, one without a face where the target has one, "
    f"one that differs from its target by {UNCHANGED_LEVELS:g} levels of 255 or less inside the face) counts as the "
    "worst value of copy_target, copy_source and alpha_paste at that pair (the lowest where higher is better, the "
    "highest where lower is), or as its own where that is worse; distances of distributions leave out outputs that are "
    "not there; a clip fails where the contestant failed on half of its frames or more"
)

Key = tuple[str, str | None]
"""Metric, and judge where it asks one."""


def find(outputs: ImageSet, targets: ImageSet, masks: ImageSet, faceless: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """How a model failed on each pair, (N,) of str, "" where it did not.

    `faceless` (N,) bool: an output without a face of a target that has one; `absent` (N,) of str: ABSENT or "".
    """
    kinds = np.where(faceless, "no_face", "").astype(object)
    sets = (outputs.portions(), targets.portions(), masks.portions())
    for i, (output, target, mask) in enumerate(chain.from_iterable(map(zip, *sets))):
        inside = mask[..., 0] > 127
        change = np.abs(output.astype(np.int16) - target)
        if not faceless[i] and (change[inside] if inside.any() else change).mean() <= UNCHANGED_LEVELS:
            kinds[i] = "unchanged"
    return np.where(absent != "", absent, kinds)


def of_clips(failures: np.ndarray, clips: Sequence[slice]) -> np.ndarray:
    """How a model failed on each clip, (C,) of str: as on most of the frames on which it failed, if it did on half.

    Where it failed on fewer frames, "": metrics of clips say what a row without these frames means.
    """
    kinds = np.full(len(clips), "", object)
    for k, clip in enumerate(clips):
        names, counts = np.unique(failures[clip][failures[clip] != ""].astype(str), return_counts=True)
        if 2 * counts.sum() >= clip.stop - clip.start:
            kinds[k] = str(names[counts.argmax()])
    return kinds


def count(failures: np.ndarray) -> dict[Failure, int]:
    """Pairs by failure, those that happened alone."""
    counts = {kind: int((failures == kind).sum()) for kind in get_args(Failure)}
    return {kind: n for kind, n in counts.items() if n}


@dataclass
class Floor:
    """The worst value that a baseline has at each pair; baselines are added as they are measured."""

    rows: dict[Key, list[np.ndarray]] = field(default_factory=dict)

    def add(self, name: str, judge: str | None, rows: Measured) -> None:
        """Take what a metric measured of one baseline; distributions say nothing of a pair."""
        if (own := column(rows)) is not None:
            self.rows.setdefault((name, judge), []).append(own)

    def at(self, metric: Metric, name: str, judge: str | None) -> tuple[np.ndarray, np.ndarray] | None:
        """The floor of one metric, (N,), and where every baseline has a row, (N,) bool; None without any row.

        NaN where no baseline has a row; the worst value of all pairs where only some have.
        """
        return floor_of(self.rows.get((name, judge), ()), metric.info.direction)


@dataclass(frozen=True)
class Counted:
    """Rows of one metric for all pairs of a model, failures as what they count as."""

    rows: Measured  # NaN where a pair cannot be scored for anybody
    scored: np.ndarray  # (N,) bool: the model's own
    failed: np.ndarray  # (N,) bool: counted as the floor
    n_absent: int = 0  # failures that the value of a distribution leaves out
    empty: bool = False  # the model has no row of its own: there is nothing that a value could say of it

    @classmethod
    def of(cls, rows: Measured) -> Counted:
        """Rows of a model whose failures are not counted, such as a baseline."""
        return cls(rows, scored(rows), np.zeros(len(rows), bool))

    @classmethod
    def with_failures(
        cls, metric: Metric, rows: Measured, failures: np.ndarray, floor: tuple[np.ndarray, np.ndarray] | None
    ) -> Counted:
        """Put the floor where the model failed, and where it has no row although every baseline has one."""
        rows = only(rows, ~np.isin(failures, ABSENT))
        own = column(rows)
        if floor is None or own is None:
            return replace(cls.of(rows), n_absent=int(((failures != "") & ~scored(rows)).sum()))
        counted, failed = count_failures(own, failures, floor, metric.info.direction)
        rows = with_failures(rows, counted, failed)
        return cls(rows, np.isfinite(own) & ~failed, failed, empty=bool(np.isnan(own).all()))
