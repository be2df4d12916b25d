"""The perceptual loss: which recogniser it uses, of which layers, and with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.errors import BadParameter, UsageError, WeightsError
from fsbench.interfaces import Context, EmbedderInfo
from fsbench.registry import embedders

Layers = Literal["after", "before"]
Weights = float | Literal["published", "uniform", "log"]

AUTO = "vggface2_resnet50"
PUBLISHED_WEIGHTS = (0.1, 0.3, 0.1, 0.01)
"""Of VGGFace2-ResNet50's maps of 112, 55, 28 and 7 pixels."""


class Coach(Protocol):
    """An embedder that shows the maps inside it, those of the first layers first.

    For `perceptual_layers=before` it has a method `preactivations` as well, with the same maps before their activation.
    """

    info: EmbedderInfo

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps (N, C, h, w); differentiable."""
        ...


@runtime_checkable
class _Features(Protocol):
    def features(self, images: Tensor) -> list[Tensor]: ...


@runtime_checkable
class _Preactivations(Protocol):
    def preactivations(self, images: Tensor) -> list[Tensor]: ...


@dataclass(frozen=True)
class PerceptualLoss:
    """Weighted mean squares between the maps of two images, each map normalised over its channels and pixels."""

    info: EmbedderInfo
    maps: Callable[[Tensor], list[Tensor]]
    weights: Weights

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        """(N, 3, H, W) both -> (); no gradient reaches the real images."""
        with torch.no_grad():
            wanted = self.maps(real)
        shown = self.maps(fake)
        weights = layer_weights(self.weights, len(shown), self.info.family)
        parts = [
            weight * F.mse_loss(_standardise(a), _standardise(b))
            for weight, a, b in zip(weights, shown, wanted, strict=True)
        ]
        return torch.stack(parts).sum()


def find_perceptual(name: str, layers: Layers, weights: Weights, context: Context) -> tuple[PerceptualLoss | None, str]:
    """Return the loss with a recogniser of that name, else why there is none.

    auto is VGGFace2-ResNet50 where its weights are present, off none. Raises WeightsError for a recogniser asked for by
    name whose weights are missing, UsageError for one that does not show its maps, or others than the weights are for.
    """
    if name == "off":
        return None, "it was switched off"
    if weights == 0:
        return None, "its weights are 0"
    try:
        coach = embedders.build(AUTO if name == "auto" else name, context)
    except WeightsError as error:
        if name != "auto":
            raise
        return None, error.message
    if layers == "after" and isinstance(coach, _Features):
        maps = coach.features
    elif layers == "before" and isinstance(coach, _Preactivations):
        maps = coach.preactivations
    else:
        what = "its inner features" if layers == "after" else "its inner features before their activation"
        raise UsageError(
            f"embedder {name} does not show {what}, which a perceptual loss needs",
            f"use perceptual={AUTO} or perceptual=off",
        )
    return PerceptualLoss(coach.info, maps, weights), ""


def check_weights(weights: Weights) -> None:
    """Raise BadParameter for a weight that no loss can have."""
    if isinstance(weights, float | int) and not 0 <= weights < math.inf:
        raise BadParameter(f"perceptual_weights={weights} is no weight", "a number from 0, published, uniform or log")


def layer_weights(weights: Weights, n: int, family: str = "the recogniser") -> tuple[float, ...]:
    """Weights of n maps, those of the first layers first; raises UsageError for published ones of other maps.

    A number is the weight of all maps, and uniform is 1; log begins with 1, and each next map has a tenth of it.
    """
    match weights:
        case "published":
            if n != len(PUBLISHED_WEIGHTS):
                raise UsageError(
                    f"perceptual_weights=published are for {len(PUBLISHED_WEIGHTS)} maps, and {family} shows {n}",
                    "use perceptual_weights=uniform, log, or a number",
                )
            return PUBLISHED_WEIGHTS
        case "uniform":
            return (1.0,) * n
        case "log":
            return tuple(0.1**i for i in range(n))
        case _:
            return (float(weights),) * n


def _standardise(x: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(x, dim=(1, 2, 3), correction=0, keepdim=True)
    return (x - mean) / (deviation + 1e-3)
