"""The people that an output could be taken for: strangers of the data set, and those of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.datasets.people import read_people
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Dataset, Faces


def gather(dataset: Dataset, test: Faces, folder: str, context: Context) -> Faces | None:
    """Return the data set's gallery and the people of `folder` ("" for none); None where there is neither.

    Whoever has the name of a person that is swapped is left out of the folder: their images there may be training
    images, and two people of one name would be one.
    """
    parts = [dataset.faces("gallery")] if "gallery" in dataset.info.splits else []
    if folder:
        people = read_people(Path(folder).expanduser(), dataset.info.size, context)
        taken = people.rows["identity"].isin([*test.identities, *(name for part in parts for name in part.identities)])
        if taken.any():
            names = ", ".join(people.rows.loc[taken, "identity"].unique()[:3])
            context.log(f"gallery: {names} left out, of whom there are images already")
        parts.append(people.select(~taken.to_numpy()))
    return _join(parts) if parts else None


def _join(parts: list[Faces]) -> Faces:
    return Faces(
        ImageSet(np.concatenate([part.crops.pixels for part in parts])),
        pd.concat([part.rows for part in parts], ignore_index=True),
        np.concatenate([part.landmarks for part in parts]),
    )
