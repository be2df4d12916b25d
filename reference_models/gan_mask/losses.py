"""The losses of faceswap-GAN v2.2, as means over all elements; images are in [0, 1].

The published network works in [-1, 1], where a difference counts twice. `SPAN` puts that factor back, so that the
published weights hold.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SPAN = 2.0


def difference(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference; with a mask (N, 1, H, W), of its part."""
    apart = SPAN * (a - b).abs()
    return (apart if mask is None else mask * apart).mean()


def edge_difference(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean difference between the absolute first differences of two images, both axes added."""
    total = torch.zeros((), device=a.device)
    for axis in (-1, -2):
        apart = SPAN * (a.diff(dim=axis).abs() - b.diff(dim=axis).abs()).abs()
        total = total + (apart if mask is None else mask.narrow(axis, 0, apart.shape[axis]) * apart).mean()
    return total


def total_variation(alpha: Tensor) -> Tensor:
    """Mean absolute first difference, both axes added."""
    return alpha.diff(dim=-1).abs().mean() + alpha.diff(dim=-2).abs().mean()


def below(alpha: Tensor, least: float) -> Tensor:
    """Mean of what alpha lacks to `least`."""
    return (least - alpha).clamp(min=0).mean()


def draw_mixup(generator: torch.Generator, device: torch.device, concentration: float = 0.2) -> Tensor:
    """One number from Beta(c, c), by rejection (Johnk 1964): x / (x + y) where x + y is at most 1."""
    powers = torch.rand(64, 2, generator=generator, device=device).pow(1 / concentration)
    total = powers.sum(1)
    first = ((total <= 1) & (total > 0)).float().argmax()
    return powers[first, 0] / total[first]


def mixup_critic(critic: nn.Module, real: Tensor, fake: Tensor, distorted: Tensor, share: Tensor) -> Tensor:
    """Least squares: the critic shall tell the share of the real image in a mixture of real and fake."""
    mixture = share * real + (1 - share) * fake
    score: Tensor = critic(_pair(mixture, distorted))
    return (score - share).square().mean()


def fool(critic: nn.Module, fake: Tensor, distorted: Tensor) -> Tensor:
    """Least squares: the critic shall take the fake for real."""
    score: Tensor = critic(_pair(fake, distorted))
    return (score - 1).square().mean()


def _pair(image: Tensor, distorted: Tensor) -> Tensor:
    return torch.cat([image, distorted], 1) * SPAN - 1  # (N, 6, H, W)


class Features(Protocol):
    """A recogniser that shows what happens inside it; `perceptual` needs the four maps of FEATURE_WEIGHTS, in order."""

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps, those of the first layers first."""
        ...


FEATURE_WEIGHTS = (0.1, 0.3, 0.1, 0.01)
"""Of VGGFace2-ResNet50's maps of 112, 55, 28 and 7 pixels."""


def perceptual(network: Features, fake: Tensor, real: Tensor) -> Tensor:
    """Weighted mean squares between the recogniser's maps, each normalised over its channels and pixels."""
    with torch.no_grad():
        wanted = network.features(real)
    found = network.features(fake)
    parts = [
        weight * F.mse_loss(_standardise(a), _standardise(b))
        for weight, a, b in zip(FEATURE_WEIGHTS, found, wanted, strict=True)
    ]
    return torch.stack(parts).sum()


def _standardise(x: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(x, dim=(1, 2, 3), correction=0, keepdim=True)
    return (x - mean) / (deviation + 1e-3)
