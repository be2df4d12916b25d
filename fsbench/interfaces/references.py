"""Real images by person and session: an output finds at once those that it is compared with."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def texts(column: pd.Series[str]) -> np.ndarray:
    """A column as (N,) of str, in which equal texts are one object: a table of many images repeats few names."""
    codes, distinct = pd.factorize(column.astype(str))
    array: np.ndarray = np.asarray(distinct, object)[codes]
    return array


class PersonImages:
    """Held-out images of one person in which the judge found a face, without those of one session."""

    def __init__(self, index: np.ndarray, references: Tensor) -> None:
        self.index = index  # (n,) of the references
        self._references = references

    @property
    def vectors(self) -> Tensor:
        """(n, D) float64 unit vectors."""
        return self._references[torch.from_numpy(self.index)].double()

    @cached_property
    def mean(self) -> Tensor:
        """(D,) float64: the product with a vector is the mean of its cosines to all images."""
        return self.vectors.mean(0)


class ReferenceIndex:
    """References of one judge, (R, D), NaN where no face was found, with their rows, by person and session.

    It is made once for many outputs, and must not be used after the references were written to.
    """

    def __init__(self, references: Tensor, rows: pd.DataFrame) -> None:
        self.references = references
        self._identity, self._session = (texts(rows[name]) for name in ("identity", "session"))
        self._test = (rows["split"] == "test").to_numpy()
        self._has_face = ~references.isnan().any(1).cpu().numpy()
        self._images: dict[tuple[str, str | None], PersonImages] = {}

    def held_out(self, identity: str, hidden: str | None = None) -> PersonImages:
        """Return the images of a person in the test split, in their order, without those of the session `hidden`."""
        if (identity, hidden) not in self._images:
            own = self._of_person.get(identity, np.empty(0, np.int64))
            self._images[identity, hidden] = PersonImages(own[self._session[own] != hidden], self.references)
        return self._images[identity, hidden]

    @cached_property
    def _of_person(self) -> dict[str, np.ndarray]:
        usable = np.flatnonzero(self._test & self._has_face)
        groups = pd.Series(usable).groupby(self._identity[usable], sort=False)
        return {str(identity): members.to_numpy() for identity, members in groups}

    @cached_property
    def held_out_people(self) -> np.ndarray:
        """Names of the people in the test split, sorted."""
        return np.unique(self._identity[self._test].astype(str))

    @cached_property
    def people(self) -> np.ndarray:
        """Names of all people with a face in some image, sorted."""
        return np.unique(self._identity[self._has_face].astype(str))

    def nearest(self, vectors: Tensor, identity: np.ndarray, session: np.ndarray) -> np.ndarray:
        """Cosine of each vector (N, D) to the nearest image of each of `people`, (N, P).

        Images of `session[i]` of the person `identity[i]` are left out; a person without another one is at -inf.
        """
        sorted_vectors, starts, sessions = self._sorted
        cosines = (vectors.cpu() @ sorted_vectors.T).numpy()  # (N, R)
        for own in set(zip(identity, session, strict=True)) & sessions.keys():
            rows = (identity == own[0]) & (session == own[1])
            cosines[rows, sessions[own]] = -np.inf
        best: np.ndarray = np.maximum.reduceat(cosines, starts, axis=1)
        return best

    @cached_property
    def _sorted(self) -> tuple[Tensor, np.ndarray, dict[tuple[str, str], slice]]:
        """Vectors person by person and session by session, where each of `people` begins, and where each session is."""
        members = np.flatnonzero(self._has_face)
        identity, session = (names[members].astype(str) for names in (self._identity, self._session))
        order = np.lexsort((session, identity))
        rows = pd.DataFrame({"identity": identity[order], "session": session[order]})
        sessions: dict[tuple[str, str], slice] = {}
        for name, place in rows.groupby(["identity", "session"], sort=False).indices.items():
            sessions[cast(tuple[str, str], name)] = slice(int(place[0]), int(place[-1]) + 1)
        starts = np.flatnonzero(~rows["identity"].duplicated().to_numpy())
        return self.references[torch.from_numpy(members[order])].cpu(), starts, sessions
