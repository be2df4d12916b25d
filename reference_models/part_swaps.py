"""Parts of faces exchanged between look-alikes, as in experiment 11 of the faceswap-GAN notes.

Mouth, nose or eyes of an image are replaced by those of the other person's image whose landmarks are nearest, inside a
box and blended by Poisson's equation: gradients are the look-alike's, the border of the box is the image's own.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

PARTS = {  # landmarks whose mean is the middle; height and width of the box, as fractions of the crop's side
    "eyes": ((0, 1), (0.14, 0.40)),
    "nose": ((0, 1, 2, 2, 2), (0.17, 0.15)),  # a little above its tip
    "mouth": ((3, 4), (0.14, 0.22)),
}


def swap_parts(
    images: Tensor, landmarks: Tensor, others: Tensor, other_landmarks: Tensor, generator: Generator
) -> Tensor:
    """(N, 3, S, S) uint8 images, each with one part, drawn at random, of the nearest of `others` (M, 3, S, S).

    Landmarks (N, 5, 2) and (M, 5, 2) are fractions of the crop's side.
    """
    nearest = look_alikes(landmarks, other_landmarks)
    part = torch.randint(len(PARTS), (len(images),), generator=generator, device=images.device)
    swapped = images.clone()
    for number, (points, (height, width)) in enumerate(PARTS.values()):
        chosen = (part == number).nonzero()[:, 0]
        side = images.shape[-1]
        shape = (round(height * side), round(width * side))
        for rows in chosen.split(256):
            own = box(landmarks[rows][:, points].mean(1), shape, side)
            theirs = box(other_landmarks[nearest[rows]][:, points].mean(1), shape, side)
            before, patch = images[rows][own].float(), others[nearest[rows]][theirs].float()  # (n, h, w, 3)
            blended = poisson_blend(before.movedim(-1, 1), patch.movedim(-1, 1)).movedim(1, -1)
            whole = images[rows]
            whole[own] = blended.clamp(0, 255).round().byte()
            swapped[rows] = whole
    return swapped


def look_alikes(landmarks: Tensor, others: Tensor) -> Tensor:
    """(N, 5, 2), (M, 5, 2) -> (N,), for each the nearest of the others in pose and shape: least squares."""
    return torch.cat([torch.cdist(part.flatten(1), others.flatten(1)).argmin(1) for part in landmarks.split(256)])


def box(middle: Tensor, shape: tuple[int, int], side: int) -> tuple[Tensor, slice, Tensor, Tensor]:
    """Index of boxes (height, width) about points (N, 2) in images (N, 3, S, S), moved inside where they stand out."""
    rows, columns = (
        (middle[:, axis, None] * side - n / 2).round().long().clamp(0, side - n) + torch.arange(n, device=middle.device)
        for axis, n in ((1, shape[0]), (0, shape[1]))
    )
    image = torch.arange(len(middle), device=middle.device)[:, None, None]
    return image, slice(None), rows[:, :, None], columns[:, None, :]  # of an image (N, 3, S, S): (N, h, w, 3)


def poisson_blend(image: Tensor, patch: Tensor) -> Tensor:
    """(..., h, w) both: the patch, moved by what makes it meet the image at the border (Perez et al. 2003)."""
    return patch + harmonic(image - patch)


def harmonic(x: Tensor) -> Tensor:
    """Keep the border of (..., h, w), and put inside what has the Laplacian 0: the smoothest that meets the border.

    Solved exactly, in the eigenvectors of the second difference along both axes.
    """
    edges = x.double()
    edges[..., 1:-1, 1:-1] = 0
    push = edges[..., 1:-1, :-2] + edges[..., 1:-1, 2:] + edges[..., :-2, 1:-1] + edges[..., 2:, 1:-1]
    (down, rows), (across, columns) = (torch.linalg.eigh(_second_difference(n - 2, x)) for n in x.shape[-2:])
    inside = rows.T @ -push @ columns / (down[:, None] + across)
    edges[..., 1:-1, 1:-1] = rows @ inside @ columns.T
    return edges.to(x.dtype)


def _second_difference(n: int, like: Tensor) -> Tensor:
    """(n, n) matrix of x[i - 1] - 2 x[i] + x[i + 1], 0 beyond the ends."""
    one = torch.ones(n, dtype=torch.float64, device=like.device)
    return torch.diag(-2 * one) + torch.diag(one[1:], 1) + torch.diag(one[1:], -1)
