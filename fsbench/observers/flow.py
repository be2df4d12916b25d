"""Optical flow from each frame of a clip to the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import FsbenchError
from fsbench.faces.flow import visible
from fsbench.images import to_bytes
from fsbench.interfaces import Context, ObserverInfo
from fsbench.observers._raft import flow_of, read_raft
from fsbench.registry import observers
from fsbench.weights import find, own

if TYPE_CHECKING:
    from torch import nn

Method = Literal["raft_large", "raft_small", "dis", "tvl1"]

_GREY = np.array([0.299, 0.587, 0.114])

Estimate = Callable[[Tensor, Tensor], Tensor]
"""Two frames (1, 3, S, S) -> (1, 2, S, S) pixels to the right and down that the first one's pixels move."""


@observers.register("flow")
class Flow:
    """Optical flow of real clips from frame to frame; outputs are not shown to it.

    It gives "forward" (N, 2, S, S), by how many pixels to the right and down each pixel has moved in the next frame,
    and "visible" (N, 1, S, S), 1 where flow there and back agree and no border of motion is, else 0. The last frame of
    a clip has NaN. Frames follow each other as they are shown, whether or not one is missing between them.

    `method` is raft_large or raft_small (Teed and Deng, "RAFT", ECCV 2020, of torchvision), dis (Kroeger et al., "Fast
    Optical Flow using Dense Inverse Search", ECCV 2016, of OpenCV, preset medium) or tvl1 (Zach et al., "A Duality
    Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007, of scikit-image), 35 times as slow as dis. A file of
    RAFT in either size is used as flow@PATH. Raises WeightsError where RAFT's file is missing, and FsbenchError where
    OpenCV is asked for and missing.
    """

    def __init__(self, *, method: Method = "dis", context: Context) -> None:
        self._method, self._device = method, context.device
        if context.path or method.startswith("raft"):
            file = own(Path(context.path)) if context.path else find(method, context.store.root / "weights")
            described = f"optical flow by RAFT ({file.name}) of torchvision {version('torchvision')}"
            self.info = ObserverInfo((file,), described, unit="clip", outputs=False)
            _ = self._network  # a file of another network fails before the work starts
            return
        if method == "dis" and find_spec("cv2") is None:
            raise FsbenchError("flow(dis) needs OpenCV", "pip install opencv-python-headless, or write flow(tvl1)")
        library = f"OpenCV {_opencv()}" if method == "dis" else f"scikit-image {version('scikit-image')}"
        self.info = ObserverInfo((), f"optical flow by {method} of {library}", unit="clip", outputs=False)

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops of consecutive frames; landmarks are not used -> "forward", "visible"."""
        estimate = self._estimate()
        n, _, height, width = crops.shape
        forward, seen = torch.full((n, 2, height, width), torch.nan), torch.full((n, 1, height, width), torch.nan)
        for t, (first, second) in enumerate(pairwise(crops[:, None])):
            there, back = estimate(first, second), estimate(second, first)
            forward[t], seen[t] = there[0], visible(there, back)[0].float()
        return {"forward": forward, "visible": seen}

    def _estimate(self) -> Estimate:
        if not self.info.weights:
            return partial(_of_brightness, _dis() if self._method == "dis" else _tvl1)
        return lambda first, second: flow_of(self._network, first.to(self._device), second.to(self._device)).cpu()

    @cached_property
    def _network(self) -> nn.Module:
        return read_raft(self.info.weights[0].path, self._device)


def _of_brightness(estimate: Callable[[np.ndarray, np.ndarray], np.ndarray], first: Tensor, second: Tensor) -> Tensor:
    grey = [(to_bytes(side)[0] @ _GREY).round().astype(np.uint8) for side in (first, second)]  # (S, S)
    return torch.from_numpy(estimate(*grey))[None]


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def _dis() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import cv2

    network = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: np.moveaxis(network.calc(first, second, None), 2, 0)  # type: ignore[call-overload]


def _tvl1(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from skimage.registration import optical_flow_tvl1  # slow to import

    down, right = optical_flow_tvl1(first / 255, second / 255)  # type: ignore[no-untyped-call]
    return np.stack([right, down]).astype(np.float32)
