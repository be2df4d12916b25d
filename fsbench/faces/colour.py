"""Colour match: levels of a face as those of another picture, inside a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

Match = Literal["none", "rgb", "lab", "xyz", "histogram"]
"""How colours are matched: not; by mean and deviation of each channel in RGB, CIE LAB or XYZ; by each channel's levels.

`lab` is Reinhard et al. 2001, as DeepFaceLab's rct; `rgb` and `xyz` are faceswap-GAN's adain, `histogram` its
hist_match.
"""

_LEVELS = 256
Convert = Callable[[np.ndarray], np.ndarray]


def match_colours(image: np.ndarray, like: np.ndarray, mask: np.ndarray, how: Match) -> np.ndarray:
    """(H, W, 3) images in [0, 1] and a mask (H, W) -> the first with the colours that the second has in the mask.

    Nothing changes where the mask is empty.
    """
    weight = mask.astype(np.float64)
    if how == "none" or weight.sum() <= 0:
        return image
    if how == "histogram":
        channels = [_levels(image[..., c], like[..., c], weight) for c in range(3)]
        return np.stack(channels, -1).astype(image.dtype)
    there, back = _space(how)
    own, goal = there(image), there(like)
    share = weight / weight.sum()
    (mean, deviation), (goal_mean, goal_deviation) = (_statistics(pixels, share) for pixels in (own, goal))
    matched = (own - mean) / np.maximum(deviation, 1e-6) * goal_deviation + goal_mean
    return np.clip(back(matched), 0, 1).astype(image.dtype)


def _space(how: Match) -> tuple[Convert, Convert]:
    """From RGB to the space in which statistics are matched, and back."""
    from skimage import color  # costs a quarter of a second

    spaces: dict[str, tuple[Convert, Convert]] = {
        "rgb": (np.asarray, np.asarray),
        "lab": (color.rgb2lab, color.lab2rgb),
        "xyz": (color.rgb2xyz, color.xyz2rgb),
    }
    return spaces[how]


def _statistics(pixels: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.einsum("hw,hwc->c", share, pixels)
    return mean, np.sqrt(np.einsum("hw,hwc->c", share, (pixels - mean) ** 2))


def _levels(channel: np.ndarray, like: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give a channel in [0, 1] the distribution of another, both weighted."""
    edges = np.arange(_LEVELS) / (_LEVELS - 1)
    own, goal = (np.cumsum(np.bincount(_bins(x), weight.ravel(), _LEVELS)) for x in (channel, like))
    table = np.interp(own / own[-1], goal / goal[-1], edges)
    matched: np.ndarray = np.interp(channel, edges, table)
    return matched


def _bins(channel: np.ndarray) -> np.ndarray:
    bins: np.ndarray = np.clip(np.rint(channel * (_LEVELS - 1)), 0, _LEVELS - 1).astype(np.int64).ravel()
    return bins
