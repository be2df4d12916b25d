"""Balance of the images of a data set's identities over sessions and head poses."""

from __future__ import annotations

import numpy as np
import pandas as pd

DOMINANT = 0.5
"""Share of an identity's images above which one session dominates training and measurement."""

DOMINANT_POSE = 0.9
"""Share of an identity's images above which the other poses are too few to learn or to measure.

About one in twelve of the people in LFW, who mostly face the camera, is above it.
"""

UNEQUAL = 4
"""Ratio of the largest and the smallest number of images of an identity."""

POSES = ("profile left", "left", "frontal", "right", "profile right")
"""Bins of yaw, as seen in the image."""

_EDGES = (-45.0, -15.0, 15.0, 45.0)  # degrees of yaw; a bin holds its lower edge


def by_session(rows: pd.DataFrame) -> dict[str, int]:
    """Number of images in each session, by name; for the rows of one identity."""
    return {str(name): int(count) for name, count in rows["session"].value_counts().sort_index().items()}


def by_pose(rows: pd.DataFrame) -> dict[str, int]:
    """Number of images in each of POSES, from the column `yaw`; empty where no yaw is known."""
    yaw = rows["yaw"].dropna().to_numpy() if "yaw" in rows else np.empty(0)
    if len(yaw) == 0:
        return {}
    counts = np.bincount(np.searchsorted(_EDGES, yaw, side="right"), minlength=len(POSES))
    return dict(zip(POSES, counts.tolist(), strict=True))


def warnings(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each imbalance; `rows` has the columns `identity` and `session`, perhaps `yaw`."""
    found = []
    for identity, images in rows.groupby("identity", sort=True):
        if said := _dominates(by_session(images), DOMINANT):
            found.append(f"{identity}: session {said}, and decides what is learnt or measured")
        if said := _dominates(by_pose(images), DOMINANT_POSE):
            found.append(f"{identity}: pose {said}: of other poses little is learnt or measured")
    counts = rows["identity"].value_counts()
    if len(counts) > 1 and counts.iloc[0] > UNEQUAL * counts.iloc[-1]:
        found.append(f"{counts.index[0]} has {counts.iloc[0]} images, {counts.index[-1]} only {counts.iloc[-1]}")
    return found


def _dominates(counts: dict[str, int], share: float) -> str:
    """Name the bin that holds more than a share of the images, "" where none does."""
    total, largest = sum(counts.values()), max(counts, key=lambda name: counts[name], default="")
    if not largest or counts[largest] <= share * total:
        return ""
    return f"{largest} holds {counts[largest]} of {total} images ({counts[largest] / total:.0%})"
