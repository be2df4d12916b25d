"""What the style-transfer refiners share: what of an image a network sees, and what of its answer gets into the output.

A network sees the part of a crop that the swappers see: the square with the face from the hairline to the chin
(`reference_models.crops`). Statistics of the whole crop would be those of hair and background.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fsbench.interfaces import Swapped, Targets
from reference_models.crops import CENTRE, FEATHER, REGION
from reference_models.style.statistics import whiten_and_colour

Share = Annotated[float, Field(ge=0, le=1)]

Side = Annotated[int, Field(ge=32, le=2048)]
"""Pixels, height and width of what a network sees at least."""

Colours = Literal["style", "content"]
"""Whose colours the answer has: those of the style, the target, or those of the content, the pipeline's output."""

Stylise = Callable[[Tensor, Tensor], Tensor]
"""Content and style, (1, 3, H, W) in [0, 1], -> the content in that style, (1, 3, H, W), which may leave [0, 1]."""


def restyle(
    stylise: Stylise,
    output: Swapped,
    targets: Targets,
    size: int,
    multiple: int,
    colours: Colours,
    device: torch.device,
) -> Swapped:
    """Give the face of each output the style of its own target's face; images are (N, 3, S, S), as are the answers.

    Faces go through the network one after the other, so that none depends on another. One that is smaller than `size`
    pixels is enlarged to it (bicubic), and the answer is made small again (bicubic, antialiased); a larger one is shown
    as it is. Sides that are no `multiple` are continued by reflection, and the answer is cut. For the colours of the
    content, mean and covariance of the style's colours are made those of the content's before (Gatys et al. 2016,
    arXiv:1606.05897, section 4).

    An alpha mask of the output is kept, and mixes the answer with the output: where it is 0, pixels stay as they are.
    Without one, the whole square is restyled. Its border fades out.
    """
    square, inside = face_square(output.images.shape[-1])
    images = output.images.clone()
    for i, (image, target) in enumerate(zip(output.images, targets.images, strict=True)):
        content, style = (whole[square][None].to(device) for whole in (image, target))
        side = max(size, content.shape[-1])
        content, style = resize(content, side), resize(style, side)
        if colours == "content":
            style = whiten_and_colour(style, content)
        answer = stylise(pad(content, multiple), pad(style, multiple))[..., :side, :side]
        answer = resize(answer.clamp(0, 1), inside.shape[-1])[0].to(images.device)
        weight = inside.to(images.device)
        if output.alpha is not None:
            weight = weight * output.alpha[i][square]
        images[i][square] = weight * answer + (1 - weight) * image[square]
    return Swapped(images, output.alpha)


def face_square(size: int) -> tuple[tuple[slice, ...], Tensor]:
    """Return where the face lies in a crop (..., size, size), and the weight (s, s) that fades out to its border.

    The square is that of `reference_models.crops`, rounded to whole pixels, so that nothing is sampled between them.
    """
    side = round(REGION * size)
    left, top = (round((centre - REGION / 2) * size) for centre in CENTRE)
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    inside = ((1 - torch.maximum(line.abs(), line.abs()[:, None])) / FEATHER).clamp(0, 1)  # (s, s)
    return (..., slice(top, top + side), slice(left, left + side)), inside * inside * (3 - 2 * inside)


def resize(images: Tensor, side: int) -> Tensor:
    """(N, 3, s, s) in [0, 1] -> (N, 3, side, side), bicubic, with antialiasing where they become smaller."""
    if images.shape[-1] == side:
        return images
    smaller = side < images.shape[-1]
    return F.interpolate(images, size=(side, side), mode="bicubic", align_corners=False, antialias=smaller).clamp(0, 1)


def pad(images: Tensor, multiple: int) -> Tensor:
    """Continue images by reflection, on the right and below, to sides that are a multiple."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="reflect")
