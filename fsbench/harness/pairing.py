"""Which source goes into which target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from fsbench.errors import DataError
from fsbench.images import ImageSet
from fsbench.interfaces import Dataset, Faces, Sample
from fsbench.pairs import Group, Pairs
from fsbench.sampling import evenly

ALL_PAIRS_LIMIT = 3
N_REFERENCES = 8


def make_pairs(dataset: Dataset, test: Faces) -> Pairs:
    """Pair every held-out image with the other identities; raises DataError where there is only one.

    Sources are all identities, or those that the data set names. Up to three: every image with every other source.
    More: every still, and every clip as a whole, with one other source, in turn, so that the cost grows with the images
    and every ordered pair takes part.
    """
    names = test.identities
    if len(names) < 2:
        raise DataError(
            f"{dataset.info.name} has {len(names)} identity to swap, two are needed", "add a second identity"
        )
    sources = [name for name in names if name in dataset.info.sources] or names
    owner = test.rows["identity"].to_numpy()
    source_of = np.full(len(test), "", object)  # where each image has one
    for position, name in enumerate(names):
        own = np.flatnonzero(owner == name)
        others = np.array([source for source in sources if source != name], object)
        if len(others):
            source_of[own] = others[(position + _turns(test.rows.iloc[own])) % len(others)]
    groups = []
    for name in sources:
        index = np.flatnonzero(owner != name if len(sources) <= ALL_PAIRS_LIMIT else source_of == name)
        if len(index):
            targets = test.select(index)
            groups.append(Group(name, references_of(dataset, test, name), index, targets, dataset.truth(name, targets)))
    everybody = "identity" if len(sources) == len(names) else f"of {len(sources)} sources"
    rule = (
        f"every held-out image with every other {everybody}"
        if len(sources) <= ALL_PAIRS_LIMIT
        else f"every held-out image with one other {everybody}, in turn"
    )
    return Pairs(tuple(groups), rule)


def at_most(pairs: Pairs, n: int | None, sample: Sample = "output") -> Pairs:
    """Take `n` of the pairs, or of the pairs of source and clip, evenly over sources and sessions; None takes all."""
    samples = pairs.samples(sample)
    if n is None or len(samples) <= n:
        return pairs
    session = samples.groupby(["source", "identity", "session"], sort=False).ngroup()
    order = np.argsort(session.to_numpy(), kind="stable")  # those of a session side by side
    chosen = np.sort(order[evenly(len(samples), n)])
    rows = chosen if sample == "output" else np.concatenate([np.r_[pairs.clips[k]] for k in chosen])
    return replace(pairs.take(rows), rule=f"{pairs.rule}; {n} of {len(samples)} {sample}s, evenly chosen")


def _turns(rows: pd.DataFrame) -> np.ndarray:
    """Number what takes turns, (N,) from 0: every still by itself, all frames of a clip together."""
    clip = rows["session"].astype(str) + "/" + rows["clip"].astype(str)
    turns: np.ndarray = pd.factorize(clip.where(rows["clip"] != "", rows["id"].astype(str)))[0]
    return turns


def references_of(dataset: Dataset, test: Faces, identity: str) -> ImageSet:
    """Reference images come from training sessions, so that no swapper is shown what it is judged against."""
    faces = (dataset.faces("train") if "train" in dataset.info.splits else test).of(identity)
    return faces.crops.select(evenly(len(faces), N_REFERENCES))
