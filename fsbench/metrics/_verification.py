"""Outputs against verification thresholds of the real images, shared by the verification metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch
from fsbench.interfaces.references import PersonImages
from fsbench.metrics._identity import compare, cosines


def false_accepts(batch: Batch, identities: list[str], lost: float) -> Tensor:
    """False-accept rate at which output i would pass, mean over the held-out images of `identities[i]`, (N,)."""
    calibration = batch.calibration

    def rate(vectors: Tensor, images: PersonImages) -> Tensor:
        return torch.from_numpy(calibration.far(cosines(vectors, images)).mean(1))

    return compare(batch, identities, rate, lost)


def accepted(batch: Batch, identities: list[str], far: float, lost: float = math.nan) -> Tensor:
    """Share of the held-out images of `identities[i]` with which output i is accepted at a false-accept rate, (N,).

    Raises NotScorable where there are too few impostor pairs for a threshold.
    """
    calibration = batch.calibration
    point = calibration.point(far)
    if point.threshold is None:
        raise NotScorable(point.reason)

    def share(vectors: Tensor, images: PersonImages) -> Tensor:
        passed = calibration.far(cosines(vectors, images)) <= far  # at or above the threshold, rounded as it is
        return torch.from_numpy(passed.mean(1))

    return compare(batch, identities, share, lost)
