"""The default judge: dlib's face ResNet, with dlib's own alignment, batched and on any device."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.embedders._batches import in_batches
from fsbench.embedders._dlib_landmarks import ShapePredictor, cut_chips, read_shape_predictor
from fsbench.embedders._dlib_network import CHIP, FaceResNet, read_network
from fsbench.errors import BadParameter
from fsbench.faces.align import TEMPLATE, similarity
from fsbench.interfaces import Context, EmbedderInfo
from fsbench.registry import embedders
from fsbench.weights import find

_BOX_CENTRE = (0.478, 0.582)
_BOX_SIDE = 0.571
"""Where dlib's HOG detector puts its box, as fractions of a crop: medians over 275 photographs of LFW."""


@embedders.register("dlib_resnet")
class DlibResnet:
    """dlib's 128-d face recogniser (CC0); Euclidean distance below 0.6 is one person.

    Verification on LFW: 98.9 % of 6,000 pairs by dlib itself, 98.7 % of 2,988 other pairs through this class.
    The landmarks that come with a crop only give dlib's predictor its start. The predictor estimates its own five
    points, by which the 150 pixel chip is cut. A crop without landmarks (NaN) has a row of NaN.
    """

    def __init__(self, *, context: Context) -> None:
        if context.path:
            raise BadParameter(f"dlib_resnet takes no path ({context.path})", "write dlib_resnet alone")
        self._context = context
        folder = context.store.root / "weights"
        self.info = EmbedderInfo(
            family="dlib",
            dim=128,
            weights=(find("dlib_resnet", folder), find("dlib_landmarks5", folder)),
            description="dlib face ResNet v1, dlib's 5-point alignment",
            concurrent=True,
            precision=context.precision,
            batch=16,  # three times as fast as one by one
        )

    @functools.cached_property
    @torch.inference_mode(False)  # made inside of `embed`, it could have no gradients afterwards
    def _network(self) -> FaceResNet:
        network = read_network(self.info.weights[0].path).to(self._context.device)
        return network.to(memory_format=torch.channels_last)  # a quarter faster on a CPU

    @functools.cached_property
    def _predictor(self) -> ShapePredictor:
        return read_shape_predictor(self.info.weights[1].path)

    @torch.inference_mode()
    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 128) features, not normalised."""
        return in_batches(self._chips, self._network, crops, landmarks, self.info.dim, self._context)

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps of 35, 17, 8 and 4 pixels, the ends of the four widths; differentiable.

        The input is the whole image, resized to 150 pixels (bilinear).
        """
        return [F.relu(features) for features in self.preactivations(images)]

    def preactivations(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> the maps of `features` before their activation."""
        chips = F.interpolate(images.to(self._context.device), (CHIP, CHIP), mode="bilinear", align_corners=False)
        return self._network.preactivations(chips)

    def _chips(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """Align as dlib does; (N, 3, 150, 150)."""
        levels = (crops.sum(1) * 255).round_()  # whole numbers, so that float32 is exact
        grey = (levels / 3).to(torch.uint8).cpu().numpy()
        points = self._predictor(grey, _boxes(landmarks.cpu().numpy()))
        points = np.floor(points + 0.5)  # dlib's landmarks are whole pixels
        return cut_chips(crops, points, CHIP)


def _boxes(landmarks: np.ndarray) -> np.ndarray:
    """(N, 5, 2) landmarks -> (N, 4) the square boxes that dlib's face detector would give, in dlib's coordinates."""
    matrix = similarity(np.broadcast_to(TEMPLATE, landmarks.shape), landmarks)  # (N, 2, 3) crop of unit size -> pixels
    centre = matrix @ (*_BOX_CENTRE, 1) - 0.5  # dlib's pixel centres are whole numbers
    side = _BOX_SIDE * np.hypot(*matrix[:, :, 0].T)
    half = (side[:, None] - 1) / 2
    return np.round(np.hstack([centre - half, centre + half]))
