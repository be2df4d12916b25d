"""Swappers that learn nothing: the floor, the ceiling, and what simple pasting reaches. They stand in every table."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.faces.align import TEMPLATE
from fsbench.faces.region import UPRIGHT, ovals
from fsbench.interfaces import Source, Swapped, Targets
from fsbench.registry import swappers
from reference_models.crops import cut, match_colour

THUMBNAIL = 16  # pixels a side; enough to tell pose and light


@swappers.register("copy_target")
class CopyTarget:
    """Leaves the target as it is: keeps everything but changes no identity."""

    baseline = True

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return Swapped(targets.images.clone(), torch.zeros_like(targets.images[:, :1]))


@swappers.register("copy_source")
class CopySource:
    """Answers with the source's reference image that resembles the target most: full identity, nothing of the scene."""

    baseline = True

    def swap(self, source: Source, targets: Targets) -> Tensor:
        return nearest(source, targets.images)


@swappers.register("alpha_paste")
class AlphaPaste:
    """Pastes the face of the most similar reference image, with a soft edge and the target's mean skin colour."""

    baseline = True

    def swap(self, source: Source, targets: Targets) -> Swapped:
        target, size = targets.images, targets.images.shape[-1]
        mask = ovals(TEMPLATE[None] * size, size, UPRIGHT)[:].to(target.device)  # (1, 1, H, W): crops are aligned
        alpha = mask.expand(len(target), -1, -1, -1)
        face = match_colour(nearest(source, target), target, alpha, spread=False)
        return Swapped(mask * face + (1 - mask) * target, alpha)


@swappers.register("exact")
class Exact:
    """Answers with the exact swap, where the data set knows it: the ceiling of every table."""

    def reveal(self, truth: Tensor) -> Tensor:
        return truth


def nearest(source: Source, target: Tensor) -> Tensor:
    """(N, 3, H, W) -> for each the reference image nearest in pose and light: least squares between small faces."""
    references = source.images.to(target.device)
    if references.shape[-2:] != target.shape[-2:]:
        references = F.interpolate(references, target.shape[-2:], mode="bilinear", antialias=True)
    small = [F.adaptive_avg_pool2d(cut(images, 4 * THUMBNAIL), THUMBNAIL).flatten(1) for images in (references, target)]
    apart = (small[1][:, None] - small[0]).square().mean(-1)  # (N, K)
    return references[apart.argmin(1)]
