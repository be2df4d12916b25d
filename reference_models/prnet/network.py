"""The position-map network of PRNet (Feng et al., ECCV 2018), as its authors published it: resfcn256.

TensorFlow pads "SAME" at the end first: a 4x4 convolution sees one more pixel below and to the right than above and to
the left. The layers here pad alike, so that the published weights give the published maps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH = 1.1
"""What an output of 1 stands for, in sides of the input: points may lie a little outside of the picture."""

_COARSER = 4
"""Texels, along a side, that share what a BasisNetwork tells of visibility."""

_STRIDES = (2, 1) * 5
_DECODER = (
    (32, 1),
    (16, 2),
    (16, 1),
    (16, 1),
    (8, 2),
    (8, 1),
    (8, 1),
    (4, 2),
    (4, 1),
    (4, 1),
    (2, 2),
    (2, 1),
    (1, 2),
    (1, 1),
)
"""Channels, in widths, and stride of the transposed convolutions before the last three, which have 3 channels."""


class Maps(NamedTuple):
    """What the network tells of some images."""

    position: Tensor  # (N, 3, U, U) x, y, z in pixels of the input
    visible: Tensor | None  # (N, 1, U, U) probability that a texel is seen; None: the network does not tell


class PaddedConv(nn.Conv2d):
    """A convolution without bias of an even kernel, padded as TensorFlow pads "SAME"."""

    def __init__(self, channels: int, out: int, kernel: int = 4, stride: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        total = max(self.kernel_size[0] - self.stride[0], 0)  # of sides that the stride divides
        before, after = total // 2, total - total // 2
        return super().forward(F.pad(x, (before, after, before, after)) if total else x)


class PaddedTransposed(nn.ConvTranspose2d):
    """A transposed 4x4 convolution without bias, cut as TensorFlow cuts "SAME"."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__(channels, out, 4, stride, padding=1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        whole = super().forward(x, output_size)  # one more row and column where the stride is 1
        return whole[..., : x.shape[2] * self.stride[0], : x.shape[3] * self.stride[1]]


class MapBlock(nn.Module):
    """A bottleneck: 1x1, 4x4, 1x1, and a shortcut that is a convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.shortcut = PaddedConv(channels, out, 1, stride) if (stride, channels) != (1, out) else nn.Identity()
        self.reduce, self.reduce_norm = PaddedConv(channels, out // 2, 1), _norm(out // 2)
        self.conv, self.conv_norm = PaddedConv(out // 2, out // 2, 4, stride), _norm(out // 2)
        self.expand = PaddedConv(out // 2, out, 1)
        self.norm = _norm(out)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, h, w)
        y = F.relu(self.reduce_norm(self.reduce(x)))  # (N, out / 2, h, w)
        y = F.relu(self.conv_norm(self.conv(y)))  # (N, out / 2, h / stride, w / stride)
        return F.relu(self.norm(self.expand(y) + self.shortcut(x)))  # (N, out, h / stride, w / stride)


class _Encoder(nn.Module):
    """The half of the published network that sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem, self.stem_norm = PaddedConv(3, width), _norm(width)
        wide = [width * 2 ** (1 + k // 2) for k in range(10)]
        self.encoder = nn.Sequential(
            *(
                MapBlock(channels, out, stride)
                for channels, out, stride in zip([width, *wide], wide, _STRIDES, strict=False)
            )
        )

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, U, U) -> (N, 32 width, U / 32, U / 32)."""
        features: Tensor = self.encoder(F.relu(self.stem_norm(self.stem(images))))
        return features


class PositionNetwork(_Encoder):
    """(N, 3, U, U) RGB in [0, 1] -> `Maps`; U is a multiple of 32.

    `width` 16 and 256 pixels are the published network of 13.4 million parameters. One that is trained here has a
    `side` U, and differs where it makes training faster: a fourth output tells which texels are seen; the last layers
    before it have `width` channels, for three with a ReLU let little through; and what the last of them gives, without
    a normalisation, is the difference from a `prior`, the logits of a mean map.
    """

    rank = None  # there is no basis

    def __init__(self, width: int = 16, *, side: int | None = None) -> None:
        super().__init__(width)
        self.side = side
        layers: list[nn.Module] = []
        channels = 32 * width
        for times, stride in _DECODER:
            layers += [PaddedTransposed(channels, times * width, stride), _norm(times * width), nn.ReLU(inplace=True)]
            channels = times * width
        self.decoder = nn.Sequential(*layers)
        outputs, between = (3, 3) if side is None else (4, width)
        last = [PaddedTransposed(channels, between), _norm(between), nn.ReLU(inplace=True)]
        last += [PaddedTransposed(between, between), _norm(between), nn.ReLU(inplace=True)]
        end = _norm(outputs) if side is None else nn.Identity()
        self.last = nn.Sequential(*last, PaddedTransposed(between, outputs), end)
        self.prior: Tensor | None
        self.register_buffer("prior", None if side is None else torch.zeros(4, side, side))

    def forward(self, images: Tensor) -> Maps:
        x = self.decoder(self.encode(images))  # (N, 32 width, U / 32, U / 32) -> (N, width, U, U)
        with torch.autocast(x.device.type, enabled=False):  # eight bits would tell pixels from pixels no more
            logits = self.last(x.float())  # (N, 3 or 4, U, U)
        told = torch.sigmoid(logits if self.prior is None else logits + self.prior)
        return Maps(told[:, :3] * (REACH * images.shape[-1]), None if self.prior is None else told[:, 3:])


class BasisNetwork(_Encoder):
    """(N, 3, U, U) RGB in [0, 1] -> `Maps`, each the mean map and a sum of basis maps with the weights that it tells.

    Maps of faces in all poses lie near a space of few dimensions, for a turned head is a weighted sum of its
    coordinates. Two cores learn these weights in minutes; the published decoder takes them days.
    """

    def __init__(self, width: int, side: int, rank: int) -> None:
        super().__init__(width)
        self.side, self.rank = side, rank
        n_features = 32 * width * (side // 32) ** 2
        self.weights = nn.Linear(n_features, rank)
        self.visible = nn.Linear(n_features, (side // _COARSER) ** 2)
        for layer in (self.weights, self.visible):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.mean: Tensor
        self.basis: Tensor
        self.register_buffer("mean", torch.zeros(3, side, side))
        self.register_buffer("basis", torch.zeros(rank, 3, side, side))

    @torch.no_grad()
    def span(self, maps: Tensor, weight: Tensor) -> None:
        """Take mean and basis from maps (M, 3, U, U), at least `rank`: their principal components.

        `weight` (U, U) says how much a texel counts. Basis maps are as long as the weights' standard deviation there.
        """
        root = weight.sqrt().flatten().repeat(3)  # (3 U U)
        rows = maps.flatten(1)
        away = (rows - rows.mean(0)) * root
        _, vectors = torch.linalg.eigh(away @ away.T)  # of as many maps, which are fewer than numbers in one
        basis = (away.T @ vectors[:, -self.rank :]).T  # (rank, 3 U U), as long as the roots of the eigenvalues
        basis = torch.where(root > 0, basis / root.clamp(min=1e-12), 0) / len(maps) ** 0.5
        self.mean.copy_(rows.mean(0).view_as(self.mean))
        self.basis.copy_(basis.half().view_as(self.basis))  # half precision: as files keep it

    def forward(self, images: Tensor) -> Maps:
        x = self.encode(images)
        with torch.autocast(x.device.type, enabled=False):
            features = x.float().flatten(1)  # (N, 32 width (U / 32)^2)
            position = self.mean + torch.einsum("nr,rcij->ncij", self.weights(features), self.basis)
            coarse = self.visible(features).unflatten(1, (1, self.side // _COARSER, -1))
            logits = F.interpolate(coarse, size=self.basis.shape[2:], mode="bilinear", align_corners=False)
        return Maps(position, torch.sigmoid(logits))


def _norm(channels: int) -> nn.BatchNorm2d:
    """MapBatch normalisation with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


Network = PositionNetwork | BasisNetwork
