"""The losses of faceswap-GAN v2.2 and its alternatives, as means over all elements; images are in [0, 1].

The published network works in [-1, 1], where a difference counts twice. `SPAN` puts that factor back, so that the
published weights hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Adversarial = Literal["lsgan", "ralsgan", "vanilla", "hinge", "none"]

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


def texture_difference(a: Tensor, b: Tensor, mask: Tensor, parts: Sequence[int] = (16, 8)) -> Tensor:
    """Mean difference between how rough two images are over squares, summed over sizes of squares and over directions.

    (N, C, H, W) images, (N, 1, H, W) mask; squares are such parts of the width, and overlap by half. Roughness is the
    absolute difference of neighbours, along both axes and both diagonals. Absolute differences alone favour a smooth
    face where a network does not know to a pixel where an edge is; squares do not ask where in them it is.
    """
    n, m = a.shape[-2] - 1, a.shape[-1] - 1
    apart = []
    for (y, x), (v, u) in (((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 0), (1, 1)), ((0, 1), (1, 0))):
        rough = [SPAN * (image[..., v : v + n, u : u + m] - image[..., y : y + n, x : x + m]).abs() for image in (a, b)]
        apart.append(rough[0] - rough[1])
    stacked = torch.stack(apart, 1).flatten(1, 2)  # (N, 4 C, H - 1, W - 1)
    total = torch.zeros((), device=a.device)
    for side in (a.shape[-1] // part for part in parts):
        squares, weight = (F.avg_pool2d(x, side, side // 2) for x in (stacked, mask[..., :n, :m]))
        total = total + len(apart) * (weight * squares.abs()).mean()
    return total


def total_variation(alpha: Tensor) -> Tensor:
    """Mean absolute first difference, both axes added."""
    return alpha.diff(dim=-1).abs().mean() + alpha.diff(dim=-2).abs().mean()


def below(alpha: Tensor, least: float) -> Tensor:
    """Mean of what alpha lacks to `least`."""
    return (least - alpha).clamp(min=0).mean()


# --------------------------------------------------------------------------------------------------------- adversarial


def draw_mixup(generator: torch.Generator, device: torch.device, concentration: float = 0.2) -> Tensor:
    """One number from Beta(c, c), c at most 1, by rejection (Johnk 1964): x / (x + y) where x + y is at most 1.

    With c = 0, the limit: 0 or 1, with probability one half each.
    """
    if concentration == 0:
        return (torch.rand((), generator=generator, device=device) < 0.5).float()
    powers = torch.rand(64, 2, generator=generator, device=device).pow(1 / concentration)
    total = powers.sum(1)
    first = ((total <= 1) & (total > 0)).float().argmax()
    return powers[first, 0] / total[first]


def critic_loss(
    kind: Adversarial, critic: nn.Module, real: Tensor, fake: Tensor, distorted: Tensor, share: Tensor | None
) -> Tensor:
    """What a critic is trained to make small.

    It sees one mixture with this share of the real image (mixup, Zhang et al. 2018); with None it sees real and fake
    apart, with half the weight each, which is the mean over shares that are 0 or 1.
    """
    if kind == "ralsgan":
        return relativistic(critic(_pair(real, distorted)), critic(_pair(fake, distorted)))
    if share is not None:
        return mismatch(kind, critic(_pair(share * real + (1 - share) * fake, distorted)), share)
    apart = [(real, 1.0), (fake, 0.0)]
    return torch.stack([mismatch(kind, critic(_pair(image, distorted)), label) for image, label in apart]).mean()


def fool_loss(kind: Adversarial, critic: nn.Module, real: Tensor, fake: Tensor, distorted: Tensor) -> Tensor:
    """What a generator is trained to make small: the critic shall take the fake for real."""
    score: Tensor = critic(_pair(fake, distorted))
    match kind:
        case "ralsgan":
            return relativistic(score, critic(_pair(real, distorted)))
        case "hinge":
            return -score.mean()
        case _:
            return mismatch(kind, score, 1.0)


def mismatch(kind: Adversarial, score: Tensor, label: Tensor | float) -> Tensor:
    """Mean loss of scores for images of which a share `label` is real.

    lsgan: (score - label)^2 (Mao et al. 2017). vanilla: cross-entropy of the score as a logit (Goodfellow et al. 2014).
    hinge: max(0, 1 - score) for real images and max(0, 1 + score) for fakes (Lim and Ye 2017), weighted by the share.
    """
    match kind:
        case "lsgan":
            return (score - label).square().mean()
        case "vanilla":
            return (F.softplus(score) - label * score).mean()
        case "hinge":
            return (label * (1 - score).clamp(min=0) + (1 - label) * (1 + score).clamp(min=0)).mean()
        case _:
            raise ValueError(f"{kind} has no loss of single scores")


def relativistic(higher: Tensor, lower: Tensor) -> Tensor:
    """Least squares: one set of scores shall lie 1 above the mean of the other, which lies 1 below the mean of the one.

    RaLSGAN of Jolicoeur-Martineau 2018; the generator exchanges real and fake.
    """
    return ((higher - lower.mean() - 1).square().mean() + (lower - higher.mean() + 1).square().mean()) / 2


def domain_confusion(classifier: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Cross-entropy of a classifier that tells codes of two domains apart; the codes are given minus its gradient.

    One update makes the classifier better and the codes harder to tell apart (Ganin and Lempitsky 2015).
    """
    scores = [classifier(2 * codes.detach() - codes) for codes in (first.float(), second.float())]  # the codes, -grad
    return (F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean()) / 2


def _pair(image: Tensor, distorted: Tensor) -> Tensor:
    return torch.cat([image, distorted], 1) * SPAN - 1  # (N, 6, H, W)
