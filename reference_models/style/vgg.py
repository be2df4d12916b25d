"""The normalised VGG19 that style transfer encodes images with, and AdaIN's decoder.

Simonyan and Zisserman 2015 (arXiv:1409.1556), with weights scaled so that the mean activation of every channel is 1
(Gatys et al. 2015, arXiv:1505.07376). Numbers of layers are those of the files of naoto0804/pytorch-AdaIN.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fsbench.weights.tensors import read_network

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of the blocks of VGG19, between which the sides are halved."""

MULTIPLE = 8
"""Pixels that the sides of an image are a multiple of, where it is encoded to relu4_1 and decoded again."""


def convolution(channels: int, out: int) -> list[nn.Module]:
    """Return a 3x3 convolution that is padded by reflection, in two layers."""
    return [Reflection(), nn.Conv2d(channels, out, 3)]


class Reflection(nn.Module):
    """Continues maps (N, C, H, W) by reflection, one pixel on each side.

    It gives what nn.ReflectionPad2d gives, whose gradient is not deterministic on CUDA; `gatys` needs gradients.
    """

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((x[..., 1:2, :], x, x[..., -2:-1, :]), 2)  # (N, C, H + 2, W)
        return torch.cat((x[..., 1:2], x, x[..., -2:-1]), 3)  # (N, C, H + 2, W + 2)


class VggEncoder(nn.Sequential):
    """Images (N, 3, H, W) in [0, 1] -> maps of named layers, each ReLU after convolution i of block b: `relu{b}_{i}`.

    Layer 0 is a 1x1 convolution that turns RGB into BGR levels less their means.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
        n_layers, channels = {}, 3
        for block, (width, n_convolutions) in enumerate(BLOCKS, 1):
            if block > 1:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            for i in range(1, n_convolutions + 1):
                layers += [*convolution(channels, width), nn.ReLU()]
                channels, n_layers[f"relu{block}_{i}"] = width, len(layers)
        super().__init__(*layers)
        self.n_layers = n_layers  # from the image to each ReLU

    def forward(self, images: Tensor, names: Sequence[str] = ("relu4_1",)) -> list[Tensor]:
        maps, x, start = {}, images, 0
        for name in sorted(names, key=self.n_layers.__getitem__):
            for layer in list(self)[start : self.n_layers[name]]:
                x = layer(x)
            maps[name], start = x, self.n_layers[name]
        return [maps[name] for name in names]


class VggDecoder(nn.Sequential):
    """Maps (N, 512, H, W) of relu4_1 -> images (N, 3, 8 H, 8 W), not clipped: the encoder mirrored, no ReLU at the end.

    Sides are doubled by nearest-neighbour upsampling before each block but the first.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels = 512
        for widths in ((256,), (256, 256, 256, 128), (128, 64), (64, 3)):
            if layers:
                layers.append(nn.Upsample(scale_factor=2))
            for width in widths:
                layers += [*convolution(channels, width), nn.ReLU()]
                channels = width
        super().__init__(*layers[:-1])


def read_encoder(path: Path, deepest: str, device: torch.device) -> VggEncoder:
    """Read the encoder as far as the layer `deepest`; raises WeightsError for a file of another network."""
    with torch.device("meta"):
        network = VggEncoder()
    read_network(path, "the normalised VGG19", network)
    del network[network.n_layers[deepest] :]
    return network.to(device)


def read_decoder(path: Path, device: torch.device) -> VggDecoder:
    """Read AdaIN's decoder; raises WeightsError for a file of another network."""
    with torch.device("meta"):
        network = VggDecoder()
    read_network(path, "AdaIN's decoder", network)
    return network.to(device)
