"""What metrics of the stage "frame" share: colours, and places in the region around a face."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.faces.frames import SPAN

_MARGIN = 0.012  # of the region's side: width about the border of a mask that belongs to neither of its sides


def lab(images: Tensor) -> np.ndarray:
    """(N, 3, S, S) in [0, 1] -> (N, S, S, 3) float64 in CIE Lab under D65."""
    from skimage.color import rgb2lab  # slow to import, and not every command measures

    colours: np.ndarray = rgb2lab(images.double().cpu().movedim(1, 3).numpy())
    return colours


def ellipse(size: int, x: float, y: float, half: tuple[float, float]) -> np.ndarray:
    """(size, size) bool, inside an ellipse: centre and half axes are in sides of the crop, from the crop's corner."""
    line = ((np.arange(size) + 0.5) / size - 0.5) * SPAN + 0.5
    inside: np.ndarray = ((line[None] - x) / half[0]) ** 2 + ((line[:, None] - y) / half[1]) ** 2 < 1
    return inside


def sides_of(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a weight (S, S) in [0, 1] is of the pasted face, and where of the frame, alone, bool; not near a border."""
    from scipy.ndimage import binary_erosion  # slow to import

    steps = max(1, round(_MARGIN * len(weight)))
    full, none = weight > 0.98, weight < 0.02
    return binary_erosion(full, iterations=steps), binary_erosion(none, iterations=steps, border_value=1)
