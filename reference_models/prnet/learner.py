"""Training of the position-map network: people that are known exactly, seen in ever other ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from reference_models.gan_mask.recipe import cosine_rate
from reference_models.prnet.network import REACH, BasisNetwork, Maps, Network, PositionNetwork


@dataclass(frozen=True)
class PositionRecipe:
    """Numbers that training depends on."""

    width: int  # of the network
    side: int  # pixels and texels a side
    drawn: int  # pixels a side of the drawn crops
    rate: float
    batch: int = 16
    images: int = 12  # of each person
    people: int = 300  # at most
    repeats: int = 8  # of each image at least: fewer steps get fewer people
    yaw: float = 75.0  # degrees
    occluded: float = 0.3  # share of the images with a drawn occluder
    pasted: float = 0.3  # probability of an occluder cut out of another image
    rotation: float = 6.0  # degrees, standard deviation
    zoom: float = 0.06  # standard deviation of the scale's logarithm
    shift: float = 0.025  # of the side, standard deviation
    visibility: float = 0.05  # weight of its loss
    decay: float = 0.998  # of the running average of the weights
    rank: int | None = None  # of the basis of maps; None: the published decoder
    known: int = 10  # batches that the mean map, or the basis, is taken from


RECIPES = {
    "small": PositionRecipe(8, 64, 128, 2e-3, batch=32, rank=96, known=60),
    "standard": PositionRecipe(16, 256, 256, 1e-3),
}

MakeMap = Callable[[Tensor], Tensor]
"""(P, C) values at the points of a face -> (U, U, C) map."""


class Examples(NamedTuple):
    """Training images and what is known about them."""

    images: Tensor  # (N, 3, S, S) uint8
    points: Tensor  # (N, P, 3) x, y, z in pixels of the image
    seen: Tensor  # (N, P) uint8, 255 is seen
    to_input: Tensor  # (N, 2, 3) from pixels of the image to those of the network's input


class MapBatch(NamedTuple):
    """What the network learns from in one step."""

    images: Tensor  # (B, 3, U, U)
    position: Tensor  # (B, 3, U, U) pixels of the input
    visible: Tensor  # (B, 1, U, U)


Draw = Callable[[Generator], MapBatch]
"""Gives a training batch; all randomness comes from the generator."""


class PositionLearner:
    """A Learner: distances between maps, weighted as published: landmarks 16, eyes, nose and mouth 4, face 3.

    The distance itself is minimised, not its square: it is what counts afterwards, and outliers weigh less.
    """

    def __init__(self, recipe: PositionRecipe, weight: Tensor, draw: Draw, seed: int, half_precision: bool) -> None:
        """`weight` (U, U) says how much a texel counts, and with its device where to train."""
        self.recipe, self.draw, self.half_precision = recipe, draw, half_precision
        batches = [draw(Generator(weight.device).manual_seed(k)) for k in range(recipe.known)]
        self.network = prepared(recipe, weight, batches, seed)
        self.networks: nn.Module = self.network.to(weight.device)
        self.optimisers = {"network": torch.optim.Adam(self.network.parameters(), lr=recipe.rate, fused=True)}
        self.weight = weight / weight.sum()

    def step(self, fraction: float, generator: Generator) -> Mapping[str, Tensor]:
        for group in self.optimisers["network"].param_groups:
            group["lr"] = self.recipe.rate * cosine_rate(fraction)
        batch = self.draw(generator)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=self.half_precision):
            maps = self.network(batch.images)
        losses = self.losses(maps, batch)
        self.optimisers["network"].zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        self.optimisers["network"].step()
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, maps: Maps, batch: MapBatch) -> dict[str, Tensor]:
        """Mean distance in percent of the input's side, and the cross entropy of visibility."""
        goal = batch.position.clamp(0, REACH * self.recipe.side)  # what the network can say
        away = (maps.position.float() - goal) * (100 / self.recipe.side)
        distance = (away.square().sum(1) + 1e-4).sqrt()  # (B, U, U)
        assert maps.visible is not None
        told = maps.visible.float().clamp(1e-4, 1 - 1e-4)
        entropy = F.binary_cross_entropy(told, batch.visible, reduction="none")[:, 0]
        return {
            "distance": (distance * self.weight).sum((1, 2)).mean(),
            "visibility": self.recipe.visibility * 100 * (entropy * self.weight).sum((1, 2)).mean(),
        }


def prepared(recipe: PositionRecipe, weight: Tensor, batches: Sequence[MapBatch], seed: int) -> Network:
    """A network that tells the mean of some maps whatever it sees: to unlearn random ones takes long."""
    position, visible = (torch.cat(parts) for parts in zip(*(batch[1:] for batch in batches), strict=True))
    goal = position.clamp(0, REACH * recipe.side)
    network: Network
    if recipe.rank is None:
        network = PositionNetwork(recipe.width, side=recipe.side)
        initialise(network, Generator().manual_seed(seed))
        nn.init.zeros_(network.last[6].weight)
        mean = torch.cat([position / (REACH * recipe.side), visible], 1).mean(0)
        network.prior = torch.logit(mean.clamp(0.03, 0.97))  # (4, U, U)
    else:
        network = BasisNetwork(recipe.width, recipe.side, recipe.rank)
        initialise(network, Generator().manual_seed(seed))
        network.to(weight.device).span(goal, weight / weight.sum())
    return network


def initialise(network: nn.Module, generator: Generator) -> None:
    """Draw kernels normally, by the number of inputs that an output has (He et al. 2015).

    Transposed convolutions that keep the side begin as copies of their inputs with a fifth of that noise: through
    eleven random ones in a row, what tells one image from another would be lost in what all have in common.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            inputs = layer.in_channels * math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                inputs /= math.prod(layer.stride)
            with torch.no_grad():
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * math.sqrt(2 / inputs))
                if isinstance(layer, nn.ConvTranspose2d) and layer.stride[0] == 1:
                    layer.weight.mul_(0.2)
                    for k in range(max(layer.in_channels, layer.out_channels)):
                        layer.weight[k % layer.in_channels, k % layer.out_channels, 1, 1] += 1


def draw_batch(examples: Examples, make_map: MakeMap, recipe: PositionRecipe, generator: Generator) -> MapBatch:
    """Draw images with replacement, turn, recolour, cover and blur them, and make their maps.

    The mean z of a map is in the middle of what the network can say; published maps begin with z 0, at their farthest
    point, whichever that is.
    """
    device, side, n = examples.images.device, recipe.side, recipe.batch
    chosen = torch.randint(len(examples.images), (n,), generator=generator, device=device)
    moved = _moves(recipe, generator, device) @ _square(examples.to_input[chosen])  # (B, 3, 3)
    images = warp(examples.images[chosen].float() / 255, moved[:, :2], side)
    points, seen = examples.points[chosen], examples.seen[chosen].float()[..., None] / 255
    flat = torch.cat([points[..., :2], torch.ones_like(seen)], -1) @ moved[:, :2].mT  # (B, P, 2)
    scale = torch.linalg.det(moved[:, :2, :2]).sqrt()[:, None, None]
    depth = points[..., 2:] - points[..., 2:].mean(1, keepdim=True)
    known = torch.cat([flat, depth * scale + REACH * side / 2, seen], -1)  # (B, P, 4)
    maps = make_map(known.permute(1, 0, 2).flatten(1)).unflatten(-1, (n, 4)).permute(2, 3, 0, 1)  # (B, 4, U, U)
    inside = ((maps[:, :2] >= 0) & (maps[:, :2] < side)).all(1, keepdim=True)
    visible = maps[:, 3:].clamp(0, 1) * inside
    images, cover = _paste(images, recipe.pasted, generator)
    where = maps[:, :2].permute(0, 2, 3, 1) * (2 / side) - 1
    covered = F.grid_sample(cover, where, mode="nearest", align_corners=False)
    return MapBatch(_spoil(_recolour(images, generator), generator), maps[:, :3], visible * (1 - covered))


def warp(images: Tensor, to_output: Tensor, side: int) -> Tensor:
    """Read images (N, C, S, S) into (N, C, side, side) through maps (N, 2, 3) from their pixels to those of the output.

    Bilinear; edges are repeated. Images whose pixels are smaller than those of the output are shrunk first.
    """
    scale = float(torch.linalg.det(to_output[:, :, :2]).abs().sqrt().min())
    size = images.shape[-1]
    if scale < 0.75:
        small = max(1, round(size * scale))
        images = F.interpolate(images, size=(small, small), mode="bilinear", antialias=True, align_corners=False)
    back = torch.linalg.inv(_square(to_output))[:, :2]  # (N, 2, 3)
    line = torch.arange(side, device=images.device, dtype=torch.float32) + 0.5
    x, y = torch.meshgrid(line, line, indexing="xy")
    places = torch.stack([x, y, torch.ones_like(x)], -1) @ back[:, None].mT  # (N, side, side, 2) pixels of the image
    return F.grid_sample(images, places * (2 / size) - 1, padding_mode="border", align_corners=False)


def _square(affine: Tensor) -> Tensor:
    """(N, 2, 3) -> (N, 3, 3)."""
    last = affine.new_tensor([0.0, 0.0, 1.0]).expand(len(affine), 1, 3)
    return torch.cat([affine, last], 1)


def _moves(recipe: PositionRecipe, generator: Generator, device: torch.device) -> Tensor:
    """(B, 3, 3): a turn, growth and shift of the input about its middle."""
    draws = torch.randn(4, recipe.batch, generator=generator, device=device)
    angle, scale = torch.deg2rad(draws[0] * recipe.rotation), torch.exp(draws[1] * recipe.zoom)
    middle = recipe.side / 2
    a, b = scale * angle.cos(), scale * angle.sin()
    dx, dy = draws[2:] * recipe.shift * recipe.side
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    rows = [a, -b, middle - a * middle + b * middle + dx, b, a, middle - b * middle - a * middle + dy, zero, zero, one]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _paste(images: Tensor, probability: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Cover images (B, 3, U, U) with ellipses cut out of others; return them, and where that is (B, 1, U, U)."""
    n, side, device = len(images), images.shape[-1], images.device
    draws = torch.rand(7, n, 1, 1, generator=generator, device=device)
    line = (torch.arange(side, device=device) + 0.5) / side
    x, y = line[None, None, :] - draws[0], line[None, :, None] - (0.1 + 0.9 * draws[1])
    angle = draws[2] * math.pi
    along, across = angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x
    inside = (along / (0.06 + 0.2 * draws[3])) ** 2 + (across / (0.06 + 0.14 * draws[4])) ** 2 < 1
    cover = (inside & (draws[5] < probability))[:, None].float()  # (B, 1, U, U)
    other = images.roll(1, 0).roll(side // 3, -1).flip(-2) * (0.3 + 0.9 * draws[6][:, None])
    return torch.lerp(images, other.clamp(0, 1), cover), cover


def _recolour(images: Tensor, generator: Generator) -> Tensor:
    """Vary contrast, brightness, tint and saturation, and take the colour from a tenth of them."""
    draws = torch.randn(6, len(images), 1, 1, 1, generator=generator, device=images.device)
    tint = torch.randn(len(images), 3, 1, 1, generator=generator, device=images.device) * 0.03
    grey = images.mean(1, keepdim=True)
    saturation = torch.where(draws[0] > 1.28, 0.0, (1 + 0.3 * draws[1]).clamp(min=0))
    images = grey + (images - grey) * saturation
    middle = images.mean((2, 3), keepdim=True)
    images = (images - middle) * torch.exp(0.2 * draws[2]) + middle + 0.08 * draws[3] + tint
    return images.clamp(0, 1) ** torch.exp(0.2 * draws[4])


def _spoil(images: Tensor, generator: Generator) -> Tensor:
    """Make half of them coarser, down to half the side, and add noise."""
    n, side = len(images), images.shape[-1]
    draws = torch.rand(2, n, 1, 1, 1, generator=generator, device=images.device)
    share = float(0.5 + 0.45 * torch.rand(1, generator=generator, device=images.device))
    small = F.interpolate(images, scale_factor=share, mode="bilinear", antialias=True, align_corners=False)
    coarse = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    images = torch.where(draws[0] < 0.5, coarse, images)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + noise * 0.02 * draws[1] ** 2).clamp(0, 1)
