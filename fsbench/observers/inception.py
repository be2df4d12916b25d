"""Inception-v3 of 2015-12-05, with whose features FID, KID and IS are defined."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.images import resize as resize_antialiased
from fsbench.interfaces import Context, ObserverInfo
from fsbench.observers._inception_network import DIM, read_network, read_state
from fsbench.registry import observers
from fsbench.weights import find, own

if TYPE_CHECKING:
    from torch import nn

SIDE = 299
BATCH = 16
"""Images that go through the network at once; 32 were measured to be no faster on a CPU."""

Resize = Literal["tf1", "clean", "torch"]


@observers.register("inception")
class Inception:
    """Inception-v3 of 2015-12-05: 2048-d pooled features, and logits of 1,008 classes where the file has them.

    It gives "features" (N, 2048) and "logits" (N, 1008) of whole images. Landmarks are not used: an image without a
    face is processed like any other. The logits are without the classifier's bias, as in the code of the Inception
    score's authors and in torch-fidelity (`logits_unbiased`).

    `resize` is how an image, rounded to 8 bits, becomes 299 pixels high and wide. It is part of a metric's name.
    tf1 is bilinear as in TensorFlow 1, as in the published FID and in torch-fidelity. clean is Pillow's bicubic on
    floats, as in clean-fid: it smooths before it shrinks, and enlarges (crops are mostly smaller than 299 pixels) by
    plain cubic interpolation with a = -0.5. torch is bilinear with half-pixel centres, as in pytorch-fid, which also
    scales levels to [-1, 1] where the others take (level - 128) / 128.

    The weights are pytorch-fid's file, or any state dict of that network as inception@PATH. One without `fc` gives no
    logits. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    """

    def __init__(self, *, resize: Resize = "tf1", context: Context) -> None:
        self._resize, self._context = resize, context
        folder = context.store.root / "weights"
        file = own(Path(context.path), "inception") if context.path else find("inception", folder)
        read_state(file.path)  # a file of another network fails before the work starts
        description = f"Inception-v3 of 2015-12-05, images resized by {resize}"
        self.info = ObserverInfo(
            (file,),
            description,
            concurrent=True,
            precision=context.precision,
            batch=4,  # a fifth faster than one by one
        )

    @functools.cached_property
    def _network(self) -> tuple[nn.Module, Tensor | None]:
        with torch.inference_mode(False):  # a network made inside `observe` could not be used outside
            return read_network(self.info.weights[0].path, self._context.device)

    @torch.inference_mode()
    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops -> features (N, 2048), not normalised, and, with a classifier, logits (N, 1008)."""
        network, classifier = self._network
        features = torch.empty(len(crops), DIM, device=self._context.device)
        for start in range(0, len(crops), BATCH):
            batch = slice(start, start + BATCH)
            prepared = prepare(crops[batch].to(self._context.device), self._resize)
            with self._context.reduced():
                features[batch] = network(prepared)
        arrays = {"features": features}
        return arrays if classifier is None else arrays | {"logits": features @ classifier.T}


def prepare(crops: Tensor, resize: Resize) -> Tensor:
    """(N, 3, S, S) in [0, 1] -> (N, 3, 299, 299) in [-1, 1], the input of the network."""
    levels = (crops.clamp(0, 1) * 255).round()
    match resize:
        case "tf1":
            return (_bilinear_of_tensorflow(levels) - 128) / 128
        case "clean":
            return (resize_antialiased(levels / 255, SIDE) * 255 - 128) / 128
        case "torch":
            return F.interpolate(levels, (SIDE, SIDE), mode="bilinear", align_corners=False) / 127.5 - 1


def _bilinear_of_tensorflow(levels: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 299, 299); pixel i of the result lies at i * size / 299, without half-pixel centres."""
    for axis in (3, 2):
        size = levels.shape[axis]
        place = torch.arange(SIDE, device=levels.device) * torch.tensor(size / SIDE, device=levels.device)
        before = place.long()
        first, second = (levels.index_select(axis, i) for i in (before, (before + 1).clamp_max(size - 1)))
        levels = first + (second - first) * (place - before).view(-1, *[1] * (3 - axis))
    return levels
