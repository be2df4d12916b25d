"""Training batches: cut, warp and recolour many crops at once, on the device, with one generator.

Distances are in units of the region ([-1, 1], see `reference_models.crops`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from reference_models.crops import region_grid, sample

KNOTS = 5  # the warp moves a grid of 5 x 5 points
RGB_TO_XYZ = (  # sRGB primaries
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)


@dataclass(frozen=True)
class Augmentation:
    """How much is varied; the defaults are those of faceswap-GAN v2.2."""

    rotation: float = 10.0  # degrees, uniform to both sides
    zoom: float = 0.10  # uniform to both sides
    shift: float = 0.10  # of the region's half side
    flip: float = 0.5  # probability
    warp: float = 0.08  # standard deviation of the grid points: 5.6 of 140 pixels
    spread: float = 0.11  # the published grid spans 78 to 97 pixels: 11 % to both sides of its mean
    recolour: float = 0.5  # probability that colours are moved towards those of another training image
    part_swaps: float = 0.0  # probability that a part of the face is another person's, see `part_swaps`
    landmark_dropout: float = 0.3  # probability that a map of landmarks is blank


@dataclass(frozen=True)
class TrainingImages:
    """All training images of one identity, on the device."""

    crops: Tensor  # (N, C, S, S) uint8: red, green, blue, face mask, eye mask; a sixth channel is a map of landmarks
    colours: Tensor  # (N, 2, 2, 3), see `colour_statistics`
    chances: Tensor | None = None  # (N,) how often each is drawn, relative to the others; None: all alike
    swapped: Tensor | None = None  # (N, 3, S, S) uint8, the same images with a part of somebody else's face

    @classmethod
    def of(cls, crops: Tensor, chances: Tensor | None = None, swapped: Tensor | None = None) -> TrainingImages:
        """Measure the colours of crops."""
        colours = torch.cat([colour_statistics(part[:, :3] / 255) for part in crops.split(64)])
        return cls(crops, colours, chances, swapped)


class AugmentedBatch(NamedTuple):
    """What one identity trains on in one step; images of h pixels."""

    warped: Tensor  # (B, 3, h, h) input
    real: Tensor  # (B, 3, h, h) what the decoder shall answer
    face: Tensor  # (B, 1, h, h) face mask
    eyes: Tensor  # (B, 1, h, h) eye mask
    landmarks: Tensor | None  # (B, 1, h, h) map of the input's landmarks, blank in some


def draw_batch(
    images: TrainingImages, colours: Tensor, n: int, size: int, how: Augmentation, generator: Generator
) -> AugmentedBatch:
    """Draw n images, with replacement; `colours` (M, 2, 2, 3) are the statistics of those of all identities."""
    device = images.crops.device
    if images.chances is None:
        chosen = torch.randint(len(images.crops), (n,), generator=generator, device=device)
    else:
        chosen = torch.multinomial(images.chances, n, replacement=True, generator=generator)
    crops = images.crops[chosen].float() / 255  # (B, C, S, S)
    if images.swapped is not None:
        use = torch.rand(n, 1, 1, 1, generator=generator, device=device) < how.part_swaps
        crops[:, :3] = torch.where(use, images.swapped[chosen].float() / 255, crops[:, :3])
    straight, warped = draw_grids(n, size, how, generator, device)
    real = sample(crops, straight)  # (B, C, h, h)
    recolouring = draw_recolouring(images.colours[chosen], colours, how.recolour, generator)
    landmarks = None
    if crops.shape[1] > 5:
        shown = torch.rand(n, 1, 1, 1, generator=generator, device=device) >= how.landmark_dropout
        landmarks = sample(crops[:, 5:], warped) * shown
    return AugmentedBatch(
        warped=apply_recolouring(sample(crops[:, :3], warped), *recolouring),
        real=apply_recolouring(real[:, :3], *recolouring),
        face=real[:, 3:4],
        eyes=real[:, 4:5],
        landmarks=landmarks,
    )


def draw_grids(
    n: int, size: int, how: Augmentation, generator: Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return where to read the undistorted and the warped image: two (B, size, size, 2) grids.

    The warp is what the grid points' jitter has beyond a similarity: the similarity part moves both images, so that
    the decoder is asked for an undistorted face in the same place (Umeyama's fit in the published code).
    """
    draws = torch.rand(6, n, 1, 1, generator=generator, device=device) * 2 - 1
    angle = torch.deg2rad(draws[0] * how.rotation)
    scale = (1 + draws[1] * how.zoom) * (1 + draws[2] * how.spread)
    shift = draws[3:5].permute(1, 2, 3, 0) * how.shift  # (B, 1, 1, 2)
    mirror = torch.where(draws[5] < 2 * how.flip - 1, -1.0, 1.0)

    jitter = torch.randn(n, KNOTS, KNOTS, 2, generator=generator, device=device) * how.warp
    rest = jitter - similarity_part(jitter, knots(device))
    grid = region_grid(size, device)  # (h, w, 2)
    moved = grid + similarity_part(jitter, knots(device), grid)  # (B, h, w, 2)
    flow = F.interpolate(rest.permute(0, 3, 1, 2), (size, size), mode="bilinear", align_corners=True)

    def place(points: Tensor) -> Tensor:
        x, y = points.unbind(-1)
        x = x * mirror
        turned = torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], -1)
        return turned * scale[..., None] + shift

    return place(moved), place(moved + flow.permute(0, 2, 3, 1))


def knots(device: torch.device) -> Tensor:
    """Return the (5, 5, 2) grid points that the warp moves; they span the region."""
    line = torch.linspace(-1, 1, KNOTS, device=device)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def similarity_part(jitter: Tensor, at: Tensor, where: Tensor | None = None) -> Tensor:
    """Least-squares shift, turn and growth of the displacements (B, 5, 5, 2) of points, read at points (h, w, 2)."""
    x, y = at.unbind(-1)
    dx, dy = jitter.unbind(-1)
    square = at.square().sum()
    grow = ((x * dx + y * dy).sum((1, 2)) / square)[:, None, None]  # (B, 1, 1)
    turn = ((x * dy - y * dx).sum((1, 2)) / square)[:, None, None]
    u, v = (at if where is None else where).unbind(-1)
    return torch.stack([grow * u - turn * v, turn * u + grow * v], -1) + jitter.mean((1, 2), keepdim=True)


# -------------------------------------------------------------------------------------------------------------- colour


def colour_statistics(images: Tensor) -> Tensor:
    """(N, 3, S, S) in [0, 1] -> (N, 2, 2, 3): in RGB and XYZ, mean and deviation of the central half."""
    side = images.shape[-1]
    centre = images[..., side // 4 : side - side // 4, side // 4 : side - side // 4].flatten(2)  # (N, 3, pixels)
    both = torch.stack([centre, _xyz(images.device) @ centre], 1)  # (N, 2, 3, pixels)
    return torch.stack([both.mean(-1), both.std(-1)], 2)


def _xyz(device: torch.device) -> Tensor:
    """Change of basis from RGB to CIE XYZ; linear and without gamma, as in the published code."""
    return torch.tensor(RGB_TO_XYZ, device=device)


def draw_recolouring(own: Tensor, colours: Tensor, probability: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return matrices (B, 3, 3) and offsets (B, 3, 1) that move colours part of the way to those of another image.

    `own` (B, 2, 2, 3) are the statistics of the images themselves, `colours` (M, 2, 2, 3) those to draw from. Half the
    time mean and deviation are moved in XYZ rather than RGB, by a share that is uniform in [0, 1].
    """
    n, device = len(own), own.device
    rows = torch.arange(n, device=device)
    other = torch.randint(len(colours), (n,), generator=generator, device=device)
    draws = torch.rand(3, n, generator=generator, device=device)
    space = (draws[0] < 0.5).long()  # 0 RGB, 1 XYZ
    share = torch.where(draws[1] < probability, draws[2], 0.0)
    mean, deviation = own[rows, space].unbind(1)  # (B, 3) each
    goal_mean, goal_deviation = own[rows, space].lerp(colours[other, space], share[:, None, None]).unbind(1)
    gain = (goal_deviation + 1e-3) / (deviation + 1e-3)
    basis = torch.stack([torch.eye(3, device=device), _xyz(device)])[space]  # (B, 3, 3)
    back = basis.inverse()
    return back * gain[:, None, :] @ basis, (back @ (goal_mean - gain * mean)[..., None])


def apply_recolouring(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """(B, 3, h, w) -> the same, clipped to [0, 1]."""
    return torch.baddbmm(offset, matrix, images.flatten(2)).view_as(images).clamp(0, 1)
