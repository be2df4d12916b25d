"""Optical flow from each frame of a clip to the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import FsbenchError
from fsbench.faces.flow import visible
from fsbench.images import to_bytes
from fsbench.interfaces import ObserverInfo
from fsbench.registry import observers

_GREY = np.array([0.299, 0.587, 0.114])

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(S, S) uint8 brightness of two frames -> (2, S, S) pixels to the right and down that the first one's pixels move."""


@observers.register("flow")
class Flow:
    """Optical flow of real clips from frame to frame; outputs are not shown to it.

    It gives "forward" (N, 2, S, S), by how many pixels to the right and down each pixel has moved in the next frame,
    and "visible" (N, 1, S, S), 1 where flow there and back agree and no border of motion is, else 0. The last frame of
    a clip has NaN. Frames follow each other as they are shown, whether or not one is missing between them.

    `method` is dis (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, of OpenCV, preset
    medium) or tvl1 (Zach et al., "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007, of
    scikit-image), 35 times as slow. It raises FsbenchError where OpenCV is asked for and missing.
    """

    def __init__(self, *, method: Literal["dis", "tvl1"] = "dis") -> None:
        if method == "dis" and find_spec("cv2") is None:
            raise FsbenchError("flow(dis) needs OpenCV", "pip install opencv-python-headless, or write flow(tvl1)")
        self._method = method
        library = f"OpenCV {_opencv()}" if method == "dis" else f"scikit-image {version('scikit-image')}"
        self.info = ObserverInfo((), f"optical flow by {method} of {library}", unit="clip", outputs=False)

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops of consecutive frames; landmarks are not used -> "forward", "visible"."""
        grey = (to_bytes(crops) @ _GREY).round().astype(np.uint8)  # (N, S, S)
        estimate = _dis() if self._method == "dis" else _tvl1
        n, _, height, width = crops.shape
        forward, seen = torch.full((n, 2, height, width), torch.nan), torch.full((n, 1, height, width), torch.nan)
        for t, (first, second) in enumerate(pairwise(grey)):
            there, back = (torch.from_numpy(estimate(*way))[None] for way in ((first, second), (second, first)))
            forward[t], seen[t] = there[0], visible(there, back)[0].float()
        return {"forward": forward, "visible": seen}


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def _dis() -> Estimate:
    import cv2

    network = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: np.moveaxis(network.calc(first, second, None), 2, 0)  # type: ignore[call-overload]


def _tvl1(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from skimage.registration import optical_flow_tvl1  # slow to import

    down, right = optical_flow_tvl1(first / 255, second / 255)  # type: ignore[no-untyped-call]
    return np.stack([right, down]).astype(np.float32)
