"""Chips, names of classes and choice of a file, shared by VGGFace2's embedders."""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench import weights
from fsbench.embedders._batches import in_batches
from fsbench.embedders._vggface2_h5 import has_classifier, is_h5
from fsbench.embedders._vggface2_network import CHIP, CLASSES, DIM, Architecture, VggfaceNetwork, read_network
from fsbench.errors import BadParameter, WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.faces.chips import cut_chips
from fsbench.interfaces import Context, EmbedderInfo, WeightsFile

Kind = Literal["keras", "keras_notop", "ft", "scratch"]
KINDS: tuple[Kind, ...] = ("keras", "keras_notop", "ft", "scratch")

_BOX_CENTRE = (0.493, 0.553)
_BOX_WIDTH = 0.507
"""Where MTCNN puts its box, as fractions of a crop: medians over 498 photographs of LFW."""

_SIDE = 1.3 * _BOX_WIDTH * CHIP / 256
TEMPLATE_ON_CHIP = (TEMPLATE - _BOX_CENTRE) / _SIDE + 0.5
"""(5, 2) landmarks on VGGFace2's chip: the box enlarged by 0.3, its shorter side 256 pixels, the middle 224 of them."""


def choose(architecture: Architecture, kinds: tuple[Kind, ...], context: Context) -> WeightsFile:
    """Find the user's own file where the specification names one, else the first of these kinds that is present."""
    if context.path:
        return weights.own(Path(context.path), f"vggface2_{architecture}_{kinds[0]}")
    return weights.find_first([f"vggface2_{architecture}_{kind}" for kind in kinds], context.store.root / "weights")


def describe(architecture: Architecture, file: WeightsFile, description: str) -> EmbedderInfo:
    """Facts about a network with this file; raises WeightsError for an h5 file that cannot be read."""
    classes = class_names() if not is_h5(file.path) or has_classifier(file.path) else ()
    return EmbedderInfo(f"vggface2_{architecture}", DIM, (file,), description, classes=classes)


@functools.cache
def class_names() -> tuple[str, ...]:
    """Names of the 8,631 people of VGGFace2's training set, in the order of the classes.

    From identity_meta.csv of the data set, without its quotation marks and underscores.
    """
    text = resources.files("fsbench.embedders").joinpath("vggface2_names.txt").read_text(encoding="utf-8")
    names = tuple(text.splitlines())
    assert len(names) == CLASSES
    return names


def cut(crops: Tensor, landmarks: Tensor) -> Tensor:
    """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 3, 224, 224) chips."""
    return cut_chips(crops, landmarks, TEMPLATE_ON_CHIP, CHIP)


class Vggface2:
    """The embedder behind both networks."""

    def __init__(self, architecture: Architecture, kind: Kind | Literal["auto"], context: Context) -> None:
        if context.path and kind != "auto":
            raise BadParameter(
                f"vggface2_{architecture} is given weights={kind} and the file {context.path}",
                "leave one of them out: what kind a file is can be told from its content",
            )
        self._architecture, self._context = architecture, context
        file = choose(architecture, KINDS if kind == "auto" else (kind,), context)
        info = describe(architecture, file, f"VGGFace2 {architecture}, 5-point alignment to its loose face box")
        self.info = replace(info, concurrent=True, batch=4, precision=context.precision)  # 4: a fifth faster than 1
        if context.path:
            _ = self._network  # a file that nobody vouched for fails before the work starts

    @functools.cached_property
    def _network(self) -> VggfaceNetwork:
        with torch.inference_mode(False):  # read inside of `embed`, it could have no gradients afterwards
            network = read_network(self.info.weights[0].path, self._architecture).to(self._context.device)
            return network.to(memory_format=torch.channels_last)  # 1.4 times as fast on a CPU

    @torch.inference_mode()
    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 2048) features, not normalised."""
        return in_batches(cut, self._network, crops, landmarks, DIM, self._context)

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps of 112, 55 (ft, scratch: 56), 28 and 7 pixels; differentiable.

        The layers of faceswap-GAN's perceptual loss: the first convolution before its normalisation, and the ends of
        the first, second and fourth stage. The input is the whole image, resized to 224 pixels (bilinear).
        """
        raw, first, second, _, fourth = self._network.maps(self._resized(images))
        return [raw, first, second, fourth]

    def preactivations(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps of 55, 55 (ft, scratch: 56), 28 and 7 pixels; differentiable.

        As `features` before their activation, with the sum of the first block in place of the first convolution.
        """
        first, *_ = maps = self._network.preactivations(self._resized(images))
        return [first, maps[1], maps[2], maps[4]]

    def _resized(self, images: Tensor) -> Tensor:
        return F.interpolate(images.to(self._context.device), (CHIP, CHIP), mode="bilinear", align_corners=False)

    @torch.inference_mode()
    def classify(self, features: Tensor) -> Tensor:
        """(N, 2048) as `embed` gave them -> (N, 8631) logits; raises WeightsError where the file has no classifier."""
        if self._network.fc is None:
            raise WeightsError(
                f"{self.info.weights[0].path} was saved without its classifier",
                f"fsbench weights fetch vggface2_{self._architecture}_keras",
            )
        logits: Tensor = self._network.fc(features.to(self._context.device))
        return logits
