"""A store in which nothing is found and nothing is kept: for what is computed once, or must be computed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fsbench.feature_store import FeatureStore
from fsbench.remote import Objects
from fsbench.shards import Rows
from fsbench.store import Arrays, Store
from fsbench.stored import StoredArrays


class UnkeptStore(Store):
    """The store under `root` that neither reads nor writes, but within `keeping`."""

    def __init__(
        self, root: Path, tell: Callable[[str], None] = lambda message: None, objects: Objects | None = None
    ) -> None:
        super().__init__(root, tell, objects)
        self._rows = {True: self.features, False: _NoRows(self.features.root, self._say_once)}
        self._use(False)

    def _use(self, keeps: bool) -> None:
        self._keeps, self.features = keeps, self._rows[keeps]

    @contextmanager
    def keeping(self, wanted: bool = True) -> Iterator[None]:
        """Read and write, as any store, for the length of a `with` block; where it is not `wanted`, do as before."""
        before = self._keeps
        self._use(wanted or before)
        try:
            yield
        finally:
            self._use(before)

    def arrays(self, kind: str, recipe: Any, compute: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
        """Return what `compute` gives."""
        return super().arrays(kind, recipe, compute) if self._keeps else dict(compute())

    def entry(self, kind: str, recipe: Any, compute: Callable[[], Mapping[str, np.ndarray]]) -> StoredArrays:
        """Return what `compute` gives, in memory."""
        return super().entry(kind, recipe, compute) if self._keeps else HeldArrays(compute)


class HeldArrays(StoredArrays):
    """Arrays that lie in memory, where an entry of a store is wanted; computed when they are asked for first."""

    __slots__ = ("_compute_arrays", "_held")

    def __init__(self, compute: Callable[[], Mapping[str, np.ndarray]]) -> None:
        self._name = "held"
        self._compute_arrays, self._held = compute, dict[str, np.ndarray]()

    def _arrays(self) -> Mapping[str, np.ndarray]:
        self._held = self._held or dict(self._compute_arrays())
        return self._held

    def find(self) -> bool:
        """They are there for whoever asks: computed now, where they were not."""
        return bool(self._arrays())

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays()[name].copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays())

    def __len__(self) -> int:
        return len(self._arrays())

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self._arrays()[name].shape

    def rows(self, name: str, index: np.ndarray) -> np.ndarray:
        """Return some rows of an array, (K,) of int -> (K, ...)."""
        rows: np.ndarray = self._arrays()[name][index]
        return rows


class _NoRows(FeatureStore):
    """Knows no row and keeps none."""

    def get(self, key: str, hashes: np.ndarray) -> tuple[np.ndarray, Rows]:
        return np.zeros(len(hashes), bool), {}

    def put(self, key: str, hashes: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
        return None
