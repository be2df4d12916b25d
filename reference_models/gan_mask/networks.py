"""The networks of faceswap-GAN v2.2 (`standard`, `lite`), and one that two CPU cores can train (`tiny`).

A generator is one encoder for everybody and a decoder per identity; it answers an image and an alpha mask. Comments
give the side of a map for images of 64 pixels. Source of `standard` and `lite`: shaoanlu/faceswap-GAN v2.2, networks/.
Convolutions pad as TensorFlow's "same" does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

Size = Literal["standard", "lite", "tiny"]
Norm = Literal["none", "batch", "instance", "group", "layer", "hybrid"]
Bottleneck = Literal["dense", "conv"]

RESOLUTIONS = (64, 128, 256)


@dataclass(frozen=True)
class SwapnetShape:
    """All that decides the shape of the networks; the defaults are the published ones. It stands in model files."""

    size: Size = "standard"
    norm: Norm = "instance"
    bottleneck: Bottleneck = "dense"  # conv: strided convolutions down to one pixel
    resolution: int = 64  # pixels of the region, one of RESOLUTIONS
    landmarks: bool = False  # a map of landmarks is a fourth channel of the input
    mask: bool = True  # decoders answer an alpha mask; else all of the image is theirs
    attention: bool = True  # tiny has none

    @property
    def n_inputs(self) -> int:
        """Channels of the encoder's input."""
        return 4 if self.landmarks else 3

    @property
    def n_doublings(self) -> int:
        """How often 64 pixels are doubled."""
        return RESOLUTIONS.index(self.resolution)


class MaskedImage(NamedTuple):
    """What a decoder makes of a region of S pixels."""

    image: Tensor  # (N, 3, S, S) in [0, 1]
    alpha: Tensor  # (N, 1, S, S) in [0, 1], how much of it to paste
    smaller: tuple[Tensor, ...] = ()  # (N, 3, s, s) in [0, 1], the same image at 64 pixels, then twice that, below S


class SameConv(nn.Conv2d):
    """A convolution whose output has 1/stride of the input's size; an odd pixel of padding goes right and below."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, *, bias: bool) -> None:
        super().__init__(n_in, n_out, kernel, stride, bias=bias)
        before = (kernel - stride) // 2
        self.pads = (before, kernel - stride - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        if self.pads[0] == self.pads[1]:  # symmetric padding inside the convolution is faster
            return F.conv2d(x, self.weight, self.bias, self.stride, self.pads[0])
        return super().forward(F.pad(x, self.pads))


# ------------------------------------------------------------------------------------------------------ normalisation


class InstanceNorm(nn.Module):
    """Mean and deviation over channels and pixels of each sample; one scale, one shift (keras-contrib, axis=None).

    Elsewhere this is called layer norm.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(x, dim=(1, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (deviation + 1e-3) * self.gamma + self.beta


class HybridNorm(nn.Module):
    """The first half of the channels goes through a 1x1 convolution, the second is instance-normalised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.n_mixed = channels // 2
        self.mix = nn.Conv2d(self.n_mixed, self.n_mixed, 1)
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.mix(x[:, : self.n_mixed]), self.norm(x[:, self.n_mixed :])], 1)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation for that many channels, under the names that faceswap-GAN gives them."""
    match norm:
        case "none":
            return nn.Identity()
        case "batch":  # each channel, over the pixels of all samples
            return nn.BatchNorm2d(channels)
        case "instance":  # all channels and pixels of a sample: elsewhere called layer norm
            return InstanceNorm()
        case "group":  # a sixteenth of the channels, and all pixels of a sample
            return nn.GroupNorm(16, channels, eps=1e-6)
        case "layer":  # each channel of each sample: elsewhere called instance norm
            return nn.GroupNorm(channels, channels, eps=1e-6)
        case "hybrid":
            return HybridNorm(channels)


# ------------------------------------------------------------------------------------------------------------- blocks


class SelfAttention(nn.Module):
    """Attention over all pixels, unscaled, added with a weight that begins at 0 (Zhang et al. 2018, SAGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        # The fused kernels want one width and channels last in memory; zeros change no product.
        pad = (0, 0, 0, x.shape[1] - x.shape[1] // 8)
        query, key = (F.pad(layer(x).flatten(2), pad) for layer in (self.query, self.key))
        rows = (part.transpose(1, 2).unsqueeze(1).contiguous() for part in (query, key, self.value(x).flatten(2)))
        mixed = F.scaled_dot_product_attention(*rows, scale=1.0)  # (N, 1, HW, C)
        return x + self.gamma * mixed.squeeze(1).transpose(1, 2).view_as(x)


def attend(channels: int, shape: SwapnetShape) -> nn.Module:
    """Attention where the shape has it."""
    return SelfAttention(channels) if shape.attention else nn.Identity()


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut, without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = SameConv(channels, channels, 3, bias=False)
        self.second = SameConv(channels, channels, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)


def down(n_in: int, n_out: int, norm: Norm = "none") -> nn.Sequential:
    """Halve the map."""
    return nn.Sequential(SameConv(n_in, n_out, 3, 2, bias=False), nn.ReLU(), make_norm(norm, n_out))


def same(channels: int, norm: Norm) -> nn.Sequential:
    """Keep the map's size."""
    return nn.Sequential(SameConv(channels, channels, 3, bias=False), nn.ReLU(), make_norm(norm, channels))


def up_shuffle(n_in: int, n_out: int, norm: Norm = "none") -> nn.Sequential:
    """Double the map by a pixel shuffle."""
    wide = SameConv(n_in, 4 * n_out, 3, bias=True)
    return nn.Sequential(wide, nn.LeakyReLU(0.2), make_norm(norm, 4 * n_out), nn.PixelShuffle(2))


def up_nearest(n_in: int, n_out: int, norm: Norm = "none") -> nn.Sequential:
    """Double the map by repetition, then convolve; no activation."""
    conv = nn.Conv2d(n_in, n_out, 3, padding=1, padding_mode="reflect", bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), conv, make_norm(norm, n_out))


# --------------------------------------------------------------------------------------------------- standard and lite


def bottleneck(kind: Bottleneck, channels: int, width: int, norm: Norm) -> list[nn.Module]:
    """(N, channels, 4, 4) -> (N, width), linear at its end."""
    if kind == "dense":
        return [nn.Flatten(), nn.Linear(16 * channels, width)]
    return [down(channels, width, norm), SameConv(width, width, 3, 2, bias=True), nn.Flatten()]  # 2, 1


class Encoder(nn.Sequential):
    """(N, 3 or 4, S, S) -> (N, 512 or 256, 8, 8)."""

    def __init__(self, shape: SwapnetShape) -> None:
        lite, norm = shape.size == "lite", shape.norm
        c = [width // (2 if lite else 1) for width in (64, 128, 256, 512, 1024)]
        width = 2048 if lite and shape.n_doublings else 1024
        n_out = 256 if lite else 1024
        super().__init__(
            SameConv(shape.n_inputs, c[0], 5, bias=False),  # 64
            down(c[0], c[1]),  # 32
            down(c[1], c[2], norm),
            attend(c[2], shape),  # 16
            down(c[2], c[3], norm),
            attend(c[3], shape),  # 8
            down(c[3], c[4], norm),  # 4
            *(down(c[4], c[4], norm) for _ in range(shape.n_doublings)),
            *bottleneck(shape.bottleneck, c[4], width, norm),  # 1
            nn.Linear(width, 16 * n_out),
            nn.Unflatten(1, (n_out, 4, 4)),
            up_nearest(256, 256, norm) if lite else up_shuffle(1024, 512, norm),  # 8
        )


class Decoder(nn.Module):
    """(N, 512 or 256, 8, 8) -> MaskedImage. Beyond 64 pixels it also answers the smaller images that it began with."""

    def __init__(self, shape: SwapnetShape) -> None:
        super().__init__()
        lite, norm = shape.size == "lite", shape.norm
        up = up_nearest if lite else up_shuffle
        c = [width // (2 if lite else 1) for width in (512, 256, 128, 64)]
        self.body = nn.Sequential(
            up(c[0], c[1], norm),  # 16
            up(c[1], c[2], norm),
            attend(c[2], shape),  # 32
            up(c[2], c[3], norm),
            ResBlock(c[3]),
            attend(c[3], shape),  # 64
        )
        n = shape.n_doublings
        self.smaller = nn.ModuleList(SameConv(c[3], 3, 5, bias=True) for _ in range(n))
        self.larger = nn.ModuleList(nn.Sequential(up(c[3], c[3], norm), same(c[3], norm)) for _ in range(n))
        self.alpha = SameConv(c[3], 1, 5, bias=True) if shape.mask else None
        self.image = SameConv(c[3], 3, 5, bias=True)

    def forward(self, code: Tensor) -> MaskedImage:
        x, smaller = self.body(code), []
        for image, enlarge in zip(self.smaller, self.larger, strict=True):
            smaller.append(image(x).tanh() / 2 + 0.5)
            x = enlarge(x)  # 128, 256
        alpha = torch.ones_like(x[:, :1]) if self.alpha is None else self.alpha(x).sigmoid()
        return MaskedImage(self.image(x).tanh() / 2 + 0.5, alpha, tuple(smaller))


class Discriminator(nn.Sequential):
    """(N, 6, S, S), an image above the distorted input -> (N, 1, 8, 8), linear; real is 1."""

    def __init__(self, shape: SwapnetShape) -> None:
        def block(n_in: int, n_out: int, norm: Norm) -> nn.Sequential:
            return nn.Sequential(SameConv(n_in, n_out, 4, 2, bias=False), nn.LeakyReLU(0.2), make_norm(norm, n_out))

        def further() -> list[nn.Module]:
            return [block(256, 256, shape.norm), attend(256, shape)]

        super().__init__(
            block(6, 64, "none"),  # 32
            block(64, 128, shape.norm),  # 16
            block(128, 256, shape.norm),
            attend(256, shape),  # 8
            *(layer for _ in range(shape.n_doublings) for layer in further()),
            SameConv(256, 1, 4, bias=False),
        )


class DomainClassifier(nn.Sequential):
    """Codes -> (N, 1), above 0 for the first of two domains."""

    def __init__(self, shape: SwapnetShape) -> None:
        channels, side = {"standard": (512, 8), "lite": (256, 8), "tiny": (128, 4)}[shape.size]
        super().__init__(nn.Flatten(), nn.Linear(channels * side**2, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))


# --------------------------------------------------------------------------------------------------------------- tiny


class TinyEncoder(nn.Sequential):
    """(N, 3 or 4, S, S) -> (N, 128, 4, 4). The stem halves the map: a CPU spends its time at full resolution."""

    def __init__(self, shape: SwapnetShape) -> None:
        norm = shape.norm
        super().__init__(
            SameConv(shape.n_inputs, 32, 5, 2, bias=True),
            nn.LeakyReLU(0.1),  # 32
            down(32, 64, norm),
            down(64, 128, norm),
            down(128, 256, norm),  # 16, 8, 4
            *(down(256, 256, norm) for _ in range(shape.n_doublings)),
            *bottleneck(shape.bottleneck, 256, 128, norm),  # 1
            nn.Linear(128, 2048),
            nn.Unflatten(1, (128, 4, 4)),
        )


class TinyDecoder(nn.Module):
    """(N, 128, 4, 4) -> MaskedImage."""

    def __init__(self, shape: SwapnetShape) -> None:
        super().__init__()
        norm = shape.norm
        self.body = nn.Sequential(
            up_shuffle(128, 96, norm),  # 8
            up_shuffle(96, 48, norm),  # 16
            up_shuffle(48, 24, norm),  # 32
            *(up_shuffle(24, 24, norm) for _ in range(shape.n_doublings)),
            SameConv(24, 16 if shape.mask else 12, 3, bias=True),
            nn.PixelShuffle(2),  # 64
        )

    def forward(self, code: Tensor) -> MaskedImage:
        x = self.body(code).float().sigmoid()  # (N, 4, S, S), or 3 without a mask
        return MaskedImage(x[:, :3], x[:, 3:] if x.shape[1] == 4 else torch.ones_like(x[:, :1]))


# ---------------------------------------------------------------------------------------------------------- generator


class Swapnet(nn.Module):
    """One encoder, one decoder per identity."""

    def __init__(self, shape: SwapnetShape, n_identities: int) -> None:
        super().__init__()
        self.shape = shape
        tiny = shape.size == "tiny"
        self.encoder = TinyEncoder(shape) if tiny else Encoder(shape)
        self.decoders = nn.ModuleList(TinyDecoder(shape) if tiny else Decoder(shape) for _ in range(n_identities))

    def encode(self, region: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> codes (N, 512, 256 or 128, s, s).

        `landmarks` (N, 1, S, S) in [0, 1] is what a network for them is shown beside, None a blank map.
        """
        x = region * 2 - 1
        if self.shape.landmarks:
            x = torch.cat([x, torch.zeros_like(x[:, :1]) if landmarks is None else landmarks], 1)  # (N, 4, S, S)
        code: Tensor = self.encoder(x)
        return code

    def forward(self, region: Tensor, identity: int) -> MaskedImage:
        """(N, 3, S, S) in [0, 1] -> the answer of one identity's decoder."""
        answer: MaskedImage = self.decoders[identity](self.encode(region))
        return answer


def initialise(networks: nn.Module, generator: Generator) -> None:
    """Draw all weights: He normal for convolutions, Glorot for attention and dense layers, ICNR before shuffles."""
    blocks = list(networks.modules())
    attention = {layer for block in blocks if isinstance(block, SelfAttention) for layer in block.children()}
    shuffled = {
        first
        for block in blocks
        if isinstance(block, nn.Sequential)
        for first, *_, last in [list(block)]
        if isinstance(last, nn.PixelShuffle)
    }
    for layer in networks.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if layer in attention or isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        elif layer in shuffled:
            icnr_(layer.weight, generator)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def icnr_(weight: Tensor, generator: Generator, std: float = 0.02) -> None:
    """Give the four channels that become one pixel block the same weights, so that it begins without a checkerboard.

    Aitken et al. 2017; N(0, 0.02) as in faceswap-GAN.
    """
    few = torch.empty(weight.shape[0] // 4, *weight.shape[1:]).normal_(0, std, generator=generator)
    with torch.no_grad():
        weight.copy_(few.repeat_interleave(4, 0))
