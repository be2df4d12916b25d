"""The part of a crop that a network sees, how it is cut out, and how an answer is put back.

Crops show hair and chin (`fsbench.faces.align.TEMPLATE`); the networks see a square inside, the *region*, that holds
the face from the hairline to the chin. All geometry is in units of the region: it spans [-1, 1] in x and y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.faces.align import TEMPLATE
from fsbench.faces.region import UPRIGHT, ovals
from fsbench.images import ImageSet
from fsbench.interfaces import Faces, Swapped

REGION = 0.66  # side of the region, as a fraction of the crop's
CENTRE = (0.5, 0.565)  # x, y of its centre, as fractions of the crop's side
PORTION = 32  # images that go through a network at once
FEATHER = 0.12  # the answer fades out over this much of the region's half side


def region_grid(size: int, device: torch.device) -> Tensor:
    """Return (size, size, 2) x, y of the region's pixel centres, in the region's units."""
    line = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Read crops (N, C, S, S) at points (N, h, w, 2) of the region -> (N, C, h, w), bilinear; edges are repeated."""
    centre = torch.tensor(CENTRE, device=grid.device) * 2 - 1
    return F.grid_sample(images, grid * REGION + centre, padding_mode="border", align_corners=False)


def shrink(images: Tensor, size: int) -> Tensor:
    """Make crops (N, C, S, S) small enough to be read bilinearly at `size` pixels a region without aliasing."""
    side = round(1.4 * size / REGION)
    if images.shape[-1] <= side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def pack(images: ImageSet, resolution: int, device: torch.device) -> Tensor:
    """Training images as (N, C, S, S) uint8 on the device, no larger than `shrink` makes them."""
    parts = (torch.from_numpy(part).permute(0, 3, 1, 2) for part in images.portions())
    return torch.cat([(shrink(part / 255, resolution) * 255).round().byte() for part in parts]).to(device)


def cut(crops: Tensor, size: int) -> Tensor:
    """(N, C, S, S) crops -> (N, C, size, size) regions."""
    grid = region_grid(size, crops.device).expand(len(crops), -1, -1, -1)
    return sample(shrink(crops, size), grid)


def paste(answer: Tensor, alpha: Tensor, crops: Tensor) -> Swapped:
    """Put regions back: alpha * answer + (1 - alpha) * crops, feathered so that the region's border cannot be seen.

    (N, 3, h, w) answers, (N, 1, h, w) alphas, (N, 3, S, S) crops -> (N, 3, S, S), and the feathered alpha of the crop,
    (N, 1, S, S), which is 0 outside the region: nothing changes there.
    """
    size = crops.shape[-1]
    centre = torch.tensor(CENTRE, device=crops.device) * 2 - 1
    grid = (region_grid(size, crops.device) - centre) / REGION  # where the crop's pixels are in the region
    inside = ((1 - grid.abs().amax(-1)) / FEATHER).clamp(0, 1)  # (S, S)
    inside = inside * inside * (3 - 2 * inside)
    where = grid.expand(len(crops), -1, -1, -1)
    enlarged = F.grid_sample(answer, where, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
    weight = F.grid_sample(alpha, where, padding_mode="border", align_corners=False) * inside
    return Swapped(weight * enlarged + (1 - weight) * crops, weight)


def in_portions(swap: Callable[[Tensor], Swapped], images: Tensor, device: torch.device) -> Swapped:
    """Swap (N, 3, S, S) images PORTION at a time on a device, and return what comes out where the images were."""
    parts = [swap(part) for part in images.to(device).split(PORTION)]
    alphas = [part.alpha for part in parts if part.alpha is not None]
    return Swapped(torch.cat([part.images for part in parts]).to(images.device), torch.cat(alphas).to(images.device))


def face_masks(data: Faces) -> ImageSet:
    """(N, 1, S, S): the true masks where they are known, else ovals."""
    return data.masks or ovals(data.landmarks, data.crops.shape[1], UPRIGHT)


def oval(n: int, size: int, device: torch.device) -> Tensor:
    """Where the face of an aligned crop is in its region, for models without a mask, (N, 1, size, size)."""
    face = ovals(TEMPLATE[None] * size, size, UPRIGHT)[:].to(device)  # (1, 1, size, size) of a crop
    return cut(face, size).expand(n, -1, -1, -1)


def eye_boxes(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Soft boxes around both eyes, (N, 5, 2) pixels -> (N, S, S, 1) uint8.

    Half sizes are a fifteenth (height) and an eighth (width) of the region's side, as faceswap-GAN v2.2 drew them from
    MTCNN's landmarks.
    """
    side = REGION * size
    at = np.arange(size, dtype=np.float32) + 0.5
    dx = np.abs(at[None, None, None, :] - landmarks[:, :2, 0, None, None]) - side / 8  # (N, 2, 1, S)
    dy = np.abs(at[None, None, :, None] - landmarks[:, :2, 1, None, None]) - side / 15  # (N, 2, S, 1)
    soft = np.clip(0.5 - np.maximum(dx, dy) / (side / 16), 0, 1).max(1)
    return (soft[..., None] * 255).round().astype(np.uint8)


def landmark_map(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Soft dots on landmarks (N, 5, 2), in pixels -> (N, S, S, 1) uint8; deviation: a fortieth of the region."""
    at = np.arange(size, dtype=np.float32) + 0.5
    dx, dy = (at - landmarks[..., axis, None] for axis in (0, 1))  # (N, 5, S)
    square = (dx[:, :, None, :] ** 2 + dy[:, :, :, None] ** 2).min(1)  # (N, S, S)
    dots: np.ndarray = np.exp(-square / (2 * (REGION * size / 40) ** 2))
    return (dots[..., None] * 255).round().astype(np.uint8)


def match_colour(images: Tensor, like: Tensor, weight: Tensor, spread: bool = True) -> Tensor:
    """Give images the mean and, with `spread`, the deviation that others have, per channel.

    (N, 3, H, W) both; statistics are weighted by (N, 1, H, W). Huang and Belongie 2017, on pixels.
    """
    share = weight / weight.sum((2, 3), keepdim=True).clamp(min=1e-3)

    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (share * x).sum((2, 3), keepdim=True)
        return mean, (share * (x - mean).square()).sum((2, 3), keepdim=True).sqrt()

    (mean, deviation), (goal_mean, goal_deviation) = statistics(images), statistics(like)
    gain = (goal_deviation + 1e-3) / (deviation + 1e-3) if spread else 1.0
    return ((images - mean) * gain + goal_mean).clamp(0, 1)
