"""dlib's face ResNet in torch, read from its .dat file.

King, "High Quality Face Recognition with Deep Metric Learning", 2017, https://blog.dlib.net. Each affine layer, dlib's
frozen batch norm, is folded into the convolution before it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsbench.embedders._dlib_format import Reader

CHIP = 150
"""Pixels, height and width of the chips that the network takes."""

_MEAN = (122.782, 117.001, 104.298)
_BLOCKS = [
    *[(32, False)] * 3,
    (64, True),
    *[(64, False)] * 3,
    (128, True),
    *[(128, False)] * 2,
    (256, True),
    *[(256, False)] * 2,
    (256, True),
]
"""(width, halves the size) of each residual block, in forward order."""

_LAST = (2, 6, 9, 12)
"""Blocks whose maps are shown to perceptual losses: 32 x 35 x 35, 64 x 17 x 17, 128 x 8 x 8 and 256 x 4 x 4."""


class Block(nn.Module):
    """Two convolutions and a shortcut; the shortcut of a block that halves the size is an average pool."""

    def __init__(self, width_in: int, width: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first = nn.Conv2d(width_in, width, 3, 2 if halve else 1, padding=0 if halve else 1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def sum(self, x: Tensor) -> Tensor:
        """Branch and shortcut, before the activation."""
        y = self.second(F.relu(self.first(x)))
        if self.halve:
            x = F.avg_pool2d(x, 2)
        return _grow(x, y) + _grow(y, x)  # from 8 pixels on, it is y that is the smaller one

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.sum(x))


def _grow(x: Tensor, other: Tensor) -> Tensor:
    """Pad with zeros to the larger of both shapes: channels at the end, rows and columns at the bottom and right."""
    _, c, h, w = (max(0, n - m) for n, m in zip(other.shape, x.shape, strict=True))
    return F.pad(x, (0, w, 0, h, 0, c)) if c or h or w else x


class FaceResNet(nn.Module):
    """(N, 3, 150, 150) RGB chips in [0, 1] -> (N, 128), not normalised; within 0.6 of each other is one person."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        widths = [32, *(width for width, _ in _BLOCKS)]
        self.blocks = nn.Sequential(*(Block(before, *block) for before, block in zip(widths, _BLOCKS, strict=False)))
        self.head = nn.Linear(256, 128, bias=False)

    def convolutions(self) -> list[nn.Conv2d]:
        """All convolutions, in forward order."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def begin(self, chips: Tensor) -> Tensor:
        """Return what the first block is given, (N, 32, 35, 35)."""
        x = (chips * 255 - self.mean) / 256
        return F.max_pool2d(F.relu(self.stem(x)), 3, stride=2)

    def preactivations(self, chips: Tensor) -> list[Tensor]:
        """Return the maps of the last block of each width (of 256: before they are halved), before their activation."""
        x, maps = self.begin(chips), []
        for index, block in enumerate(self.blocks):
            total = block.sum(x)  # type: ignore[operator]  # they are Blocks
            x = F.relu(total)
            if index in _LAST:
                maps.append(total)
        return maps

    def forward(self, chips: Tensor) -> Tensor:
        x = self.blocks(self.begin(chips))  # (N, 256, 2, 2)
        features: Tensor = self.head(x.mean((2, 3)))
        return features


def read_network(path: Path) -> FaceResNet:
    """Read the network; raises WeightsError for a file that is shorter, longer or of another network."""
    reader = Reader(path)
    layers = _read_layers(reader)
    reader.expect_end()
    if [name for name, _ in layers] != _layer_names():
        reader.fail()
    params = [values.ravel() for _, values in layers if values is not None]
    network = FaceResNet()
    with torch.no_grad():
        for convolution, filters, affine in zip(network.convolutions(), params[0:-1:2], params[1:-1:2], strict=True):
            n = convolution.out_channels
            if len(filters) != convolution.weight.numel() + n or len(affine) != 2 * n:
                reader.fail()
            weight, bias = torch.tensor(filters[:-n]).view_as(convolution.weight), torch.tensor(filters[-n:])
            gamma, beta = torch.tensor(affine).view(2, n)
            convolution.weight.copy_(weight * gamma.view(n, 1, 1, 1))
            convolution.bias.copy_(bias * gamma + beta)  # type: ignore[union-attr]  # these convolutions have one
        network.head.weight.copy_(torch.tensor(params[-1]).view(256, 128).T)
    return network.eval().requires_grad_(False)


def _layer_names() -> list[str]:
    """Names of the layers that the file of this network has, in forward order."""
    names = ["con_4", "affine_", "relu_", "max_pool_2"]
    for _, halve in _BLOCKS:
        names += ["con_4", "affine_", "relu_", "con_4", "affine_"] + ["avg_pool_2"] * halve + ["add_prev_", "relu_"]
    return [*names, "avg_pool_2", "fc_2"]


def _read_layers(reader: Reader) -> list[tuple[str, np.ndarray | None]]:
    """Read names and parameters of all layers, in forward order."""
    reader.expect(1)
    if reader.text() != "loss_metric_2":
        reader.fail()
    reader.real(), reader.real()  # margin and distance threshold of the loss
    n_layers = 1  # marks: 2 a layer, 1 a tag or a skip, 3 the first layer
    while (mark := reader.integer()) != 3:
        n_layers += mark == 2
    if reader.text() != "input_rgb_image_sized" or not np.allclose([reader.real() for _ in range(3)], _MEAN):
        reader.fail()
    reader.expect(CHIP, CHIP)
    layers = []
    for index in range(n_layers):
        layers.append(_read_layer(reader))
        if index == 0:
            reader.expect(1)
    return layers


def _read_layer(reader: Reader) -> tuple[str, np.ndarray | None]:
    name = reader.text()
    params = None
    if name == "con_4":
        params = reader.tensor()
        for _ in range(7):
            reader.integer()  # sizes, strides and pads, which the network has already
        reader.alias(), reader.alias()
    elif name == "affine_":
        params = reader.tensor()
        reader.alias(), reader.alias()
        reader.integer()
    elif name in ("max_pool_2", "avg_pool_2"):
        for _ in range(6):
            reader.integer()
    elif name == "fc_2":
        reader.expect(128, 256)
        params = reader.tensor()
        reader.alias(), reader.alias()
        reader.integer()
    elif name not in ("relu_", "add_prev_"):
        reader.fail()
    if name in ("con_4", "fc_2"):
        for _ in range(4):
            reader.real()  # learning rate and weight decay multipliers
    for _ in range(3):
        reader.flag()
    for _ in range(3):
        reader.tensor()  # gradients, empty
    return name, params
