"""Distances of two sets of features that need not belong together."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.errors import UsageError
from fsbench.stats.frechet import FrechetOfFeatures

Features = np.ndarray | Tensor


def frechet_distance(features_1: Features, features_2: Features) -> float:
    """Squared Fréchet distance of two sets of features through their means and covariances, >= 0; the FID of any space.

    Features (N, D) and (M, D), N and M at least 2, tensors or arrays; computed in float64. Covariances are divided by
    N - 1. What `fid` computes of outputs and targets is this of their Inception features, where each target was swapped
    once. Few rows raise it, by about b / N. Raises UsageError for other shapes and for what is not finite.

    Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017, section 4.
    """
    try:
        sides = [_matrix(features) for features in (features_1, features_2)]
        return FrechetOfFeatures(*sides)(*(np.ones(len(side)) for side in sides))
    except (ValueError, TypeError) as error:
        raise UsageError(f"no Fréchet distance of these features: {error}", "give (N, D) and (M, D), finite") from error


def _matrix(features: Features) -> np.ndarray:
    array = np.asarray(features.detach().cpu() if isinstance(features, Tensor) else features)
    if np.iscomplexobj(array):
        raise ValueError("they are complex")
    return array.astype(np.float64)
