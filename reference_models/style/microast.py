"""MicroAST: a small network that restyles in one pass.

Wang et al. 2023, "MicroAST: Towards Super-Fast Ultra-Resolution Arbitrary Style Transfer", AAAI, arXiv:2211.15313.
Names of layers are those of the authors' files.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import refiners
from fsbench.weights import find_all
from fsbench.weights.tensors import read_network
from reference_models.style.restyle import Colours, Share, Side, restyle
from reference_models.style.statistics import adain

NETWORKS = ("content_encoder", "style_encoder", "modulator", "decoder")

MULTIPLE = 4
"""Pixels that the sides of an image are a multiple of: they are halved twice, and doubled again."""


class Convolution(nn.Module):
    """A convolution that is padded by reflection to keep the size, but for its stride."""

    def __init__(self, channels: int, out: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.padding = nn.ReflectionPad2d(side // 2)
        self.conv_layer = nn.Conv2d(channels, out, side, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_layer(self.padding(x))
        return y


class Residual(nn.Module):
    """Two 3x3 convolutions of 64 channels whose result is added to the input.

    Where the style gives a weight and a bias, (N, 64, 1, 1), the result y of a convolution of x is weight y + bias x.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Convolution(64, 64, 3), Convolution(64, 64, 3)

    def forward(self, x: Tensor, weight: Tensor | float = 1.0, bias: Tensor | float = 0.0) -> Tensor:
        y = (weight * self.conv1(x) + bias * x).relu()
        z: Tensor = x + weight * self.conv2(y) + bias * y
        return z


def _separable(channels: int, out: int, stride: int, groups: int) -> list[nn.Module]:
    return [Convolution(channels, out, 3, stride, groups), nn.ReLU(), Convolution(out, out, 1), nn.ReLU()]


class MicroEncoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> maps of two levels, both (N, 64, H / 4, W / 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Sequential(
            Convolution(3, 16, 9), nn.ReLU(), *_separable(16, 32, 2, 16), *_separable(32, 64, 2, 32), Residual()
        )
        self.enc2 = nn.Sequential(Residual())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        first = self.enc1(images)
        return first, self.enc2(first)


class Modulator(nn.Module):
    """Maps of the style -> weight and bias of each level, (N, 64, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("weight1", "bias1", "weight2", "bias2"):
            self.add_module(name, nn.Sequential(Convolution(64, 64, 3, groups=64), nn.AdaptiveAvgPool2d(1)))

    def forward(self, first: Tensor, second: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return (self.weight1(first), self.bias1(first)), (self.weight2(second), self.bias2(second))


class MicroDecoder(nn.Module):
    """Maps (N, 64, H, W) of the second level -> images (N, 3, 4 H, 4 W), not clipped."""

    def __init__(self) -> None:
        super().__init__()
        self.dec1, self.dec2 = Residual(), Residual()
        self.dec3 = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_separable(64, 32, 1, 32),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_separable(32, 16, 1, 16),
            Convolution(16, 3, 9),
        )


class MicroAstNetwork(nn.Module):
    """Content and style, (N, 3, H, W) in [0, 1] with sides that are multiples of 4 -> (N, 3, H, W), not clipped."""

    def __init__(self) -> None:
        super().__init__()
        self.content_encoder, self.style_encoder = MicroEncoder(), MicroEncoder()
        self.modulator, self.decoder = Modulator(), MicroDecoder()

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        style_maps = self.style_encoder(style)  # (N, 64, H / 4, W / 4), twice
        modulations = self.modulator(*style_maps)
        x = self.content_encoder(content)[1]
        for level, residual in ((1, self.decoder.dec1), (0, self.decoder.dec2)):
            x = residual(adain(x, style_maps[level]), *modulations[level])
        image: Tensor = self.decoder.dec3(x)
        return image


@refiners.register("microast")
class MicroAst:
    """Gives an output the style of its target in one pass of a small network (MicroAST).

    `alpha` is the share of the answer in the pixels. (The authors mix feature maps. For faces that gives values up to 9
    in the place of 1 wherever the share is neither 0 nor 1.) `colours` are those of the style, or those of the content,
    which is the output. A face is shown to the network with `size` pixels a side, or with its own where they are more;
    below 128 pixels a grid of four pixels shows, and from 192 on little changes but the colour.

    What the alpha of the output leaves out stays as it is; without an alpha the square around the face is restyled.
    Source: Wang et al. 2023, arXiv:2211.15313.
    """

    def __init__(self, *, alpha: Share = 1.0, colours: Colours = "style", size: Side = 128, context: Context) -> None:
        self.alpha, self.colours, self.size, self.device = alpha, colours, size, context.device
        self.weights_files = find_all([f"microast_{name}" for name in NETWORKS], context.store.root / "weights")

    @cached_property
    def _network(self) -> MicroAstNetwork:
        with torch.device("meta"):
            network = MicroAstNetwork()
        for name, file in zip(NETWORKS, self.weights_files, strict=True):
            read_network(file.path, f"MicroAST's {name}", getattr(network, name))
        return network.to(self.device)

    @torch.inference_mode()
    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        """Return the outputs in the style of their targets, with their alpha."""
        return restyle(self.stylise, output, targets, self.size, MULTIPLE, self.colours, self.device)

    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        """(1, 3, H, W) content and style in [0, 1] -> (1, 3, H, W) in [0, 1]; sides are multiples of 4."""
        return self.alpha * self._network(content, style).clamp(0, 1) + (1 - self.alpha) * content
