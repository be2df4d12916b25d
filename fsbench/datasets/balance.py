"""Whether a data set shows its identities evenly."""

from __future__ import annotations

import pandas as pd

DOMINANT = 0.5
"""Share of an identity's images above which one session decides what is learnt and measured."""

UNEQUAL = 4
"""Ratio of the largest and the smallest number of images of an identity."""


def warnings(rows: pd.DataFrame) -> list[str]:
    """Return what is uneven, one sentence each; `rows` has the columns `identity` and `session`."""
    found = []
    for identity, images in rows.groupby("identity", sort=True):
        counts = images["session"].value_counts()
        if counts.iloc[0] > DOMINANT * len(images):
            found.append(f"{identity}: session {counts.index[0]} holds {counts.iloc[0]} of {len(images)} images, and "
                         f"decides what is learnt or measured")
    counts = rows["identity"].value_counts()
    if len(counts) > 1 and counts.iloc[0] > UNEQUAL * counts.iloc[-1]:
        found.append(f"{counts.index[0]} has {counts.iloc[0]} images, {counts.index[-1]} only {counts.iloc[-1]}")
    return found
