"""Features of the images that are swapped into, and which of these each pair has as its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import PairedFeatures, SharedTargets


@dataclass(frozen=True)
class TargetFeatures:
    """Arrays that one network gives of all targets of an evaluation set, computed once for all models."""

    network: str  # its name
    arrays: Mapping[str, Tensor]  # (T, ...) each
    index: np.ndarray  # (N,) the target of each pair
    _shared: dict[str, SharedTargets] = field(default_factory=dict)

    def __getitem__(self, rows: slice) -> dict[str, Tensor]:
        """The arrays of the targets of some pairs."""
        return {name: array[torch.from_numpy(self.index[rows])] for name, array in self.arrays.items()}

    def pair(self, array: str, outputs: Mapping[str, Tensor]) -> PairedFeatures:
        """Pair an array of outputs, (N, ...), with that of their targets; raises NotScorable where it is not there."""
        if array not in outputs or array not in self.arrays:
            raise NotScorable(f"{self.network} gives no {array}")
        if array not in self._shared:
            self._shared[array] = SharedTargets(_matrix(self.arrays[array]))
        return self._shared[array].pair(_matrix(outputs[array]), self.index)


def _matrix(array: Tensor) -> np.ndarray:
    """(N, ...) -> (N, D)."""
    return array.reshape(len(array), -1).numpy()
