"""The people that an output could be taken for: strangers of the data set, and those of a folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fsbench import hashes
from fsbench.datasets.people import read_people
from fsbench.errors import DataError
from fsbench.files import home_of, some
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Dataset, Faces


def gather(dataset: Dataset, test: Faces, folder: str, context: Context) -> Faces | None:
    """Return the data set's gallery and the people of `folder` ("" for none); None where there is neither.

    Whoever has the name of a person that is known already, or an image that is, is left out of the folder, and told:
    their images there may be training images, and somebody who is swapped is no stranger.
    """
    parts = [dataset.faces("gallery")] if "gallery" in dataset.info.splits else []
    if folder:
        people = read_people(home_of(folder), dataset.info.size, context)
        names = {name for part in (test, *parts) for name in part.identities}
        again = np.isin(hashes.keys(people.crops.hashes()), hashes.keys(test.crops.hashes()))
        names |= set(people.rows.loc[again, "identity"])
        taken = people.rows["identity"].isin(names).to_numpy()
        if taken.any():
            left_out = people.rows.loc[taken, "identity"].unique()
            context.log(f"gallery: {some(left_out.tolist())} left out, of whom there are images already")
        if taken.all():
            raise DataError(
                f"the gallery {folder} holds only people of whom there are images already", "name a folder of others"
            )
        parts.append(people.select(~taken))
    return join(parts) if parts else None


def join(parts: Sequence[Faces]) -> Faces:
    """Put faces together, in their order, without masks."""
    return Faces(
        ImageSet.join([part.crops for part in parts]),
        pd.concat([part.rows for part in parts], ignore_index=True),
        np.concatenate([part.landmarks for part in parts]),
    )
