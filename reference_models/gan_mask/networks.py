"""The networks of faceswap-GAN v2.2 at 64 pixels (`standard`, `lite`), and one that two CPU cores can train (`tiny`).

A generator is one encoder for everybody and a decoder per identity; it answers an image and an alpha mask.
Source of `standard` and `lite`: shaoanlu/faceswap-GAN v2.2, networks/. Convolutions pad as TensorFlow's "same" does.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

Size = Literal["standard", "lite", "tiny"]
Norm = Literal["instance", "group", "layer", "hybrid", "none"]

RESOLUTION = 64


class MaskedImage(NamedTuple):
    """What a decoder makes of a region."""

    image: Tensor  # (N, 3, 64, 64) in [0, 1]
    alpha: Tensor  # (N, 1, 64, 64) in [0, 1], how much of it to paste


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
    """Mean and deviation over channels and pixels of each sample; one scale, one shift (keras-contrib, axis=None)."""

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
    """Return a normalisation for that many channels."""
    match norm:
        case "instance":
            return InstanceNorm()
        case "group":
            return nn.GroupNorm(16, channels, eps=1e-6)
        case "layer":
            return nn.GroupNorm(channels, channels, eps=1e-6)
        case "hybrid":
            return HybridNorm(channels)
        case "none":
            return nn.Identity()


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


def up_shuffle(n_in: int, n_out: int, norm: Norm = "none") -> nn.Sequential:
    """Double the map by a pixel shuffle."""
    wide = SameConv(n_in, 4 * n_out, 3, bias=True)
    return nn.Sequential(wide, nn.LeakyReLU(0.2), make_norm(norm, 4 * n_out), nn.PixelShuffle(2))


def up_nearest(n_in: int, n_out: int, norm: Norm = "none") -> nn.Sequential:
    """Double the map by repetition, then convolve; no activation."""
    conv = nn.Conv2d(n_in, n_out, 3, padding=1, padding_mode="reflect", bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), conv, make_norm(norm, n_out))


# --------------------------------------------------------------------------------------------------- standard and lite


class Encoder(nn.Sequential):
    """(N, 3, 64, 64) -> (N, 512 or 256, 8, 8). `coef` divides the channels: 1 standard, 2 lite."""

    def __init__(self, norm: Norm, coef: int) -> None:
        c = [width // coef for width in (64, 128, 256, 512, 1024)]
        up = up_shuffle(1024, 512, norm) if coef == 1 else up_nearest(256, 256, norm)
        bottleneck = 1024 if coef == 1 else 256
        super().__init__(
            SameConv(3, c[0], 5, bias=False),
            down(c[0], c[1]),  # 32
            down(c[1], c[2], norm),
            SelfAttention(c[2]),  # 16
            down(c[2], c[3], norm),
            SelfAttention(c[3]),  # 8
            down(c[3], c[4], norm),  # 4
            nn.Flatten(),
            nn.Linear(16 * c[4], 1024),
            nn.Linear(1024, 16 * bottleneck),
            nn.Unflatten(1, (bottleneck, 4, 4)),
            up,  # 8
        )


class Decoder(nn.Module):
    """(N, 512 or 256, 8, 8) -> MaskedImage."""

    def __init__(self, norm: Norm, coef: int) -> None:
        super().__init__()
        up = up_shuffle if coef == 1 else up_nearest
        c = [width // coef for width in (512, 256, 128, 64)]
        self.body = nn.Sequential(
            up(c[0], c[1], norm),  # 16
            up(c[1], c[2], norm),
            SelfAttention(c[2]),  # 32
            up(c[2], c[3], norm),
            ResBlock(c[3]),
            SelfAttention(c[3]),  # 64
        )
        self.alpha = SameConv(c[3], 1, 5, bias=True)
        self.image = SameConv(c[3], 3, 5, bias=True)

    def forward(self, code: Tensor) -> MaskedImage:
        x = self.body(code)
        return MaskedImage(self.image(x).tanh() / 2 + 0.5, self.alpha(x).sigmoid())


class Discriminator(nn.Sequential):
    """(N, 6, 64, 64), an image above the distorted input -> (N, 1, 8, 8), linear; real is 1."""

    def __init__(self, norm: Norm) -> None:
        def block(n_in: int, n_out: int, norm: Norm) -> nn.Sequential:
            return nn.Sequential(SameConv(n_in, n_out, 4, 2, bias=False), nn.LeakyReLU(0.2), make_norm(norm, n_out))

        super().__init__(
            block(6, 64, "none"),
            block(64, 128, norm),
            block(128, 256, norm),
            SelfAttention(256),
            SameConv(256, 1, 4, bias=False),
        )


# --------------------------------------------------------------------------------------------------------------- tiny


class TinyEncoder(nn.Sequential):
    """(N, 3, 64, 64) -> (N, 128, 4, 4). The stem halves the map at once: a CPU spends its time at full resolution."""

    def __init__(self, norm: Norm) -> None:
        super().__init__(
            SameConv(3, 32, 5, 2, bias=True),
            nn.LeakyReLU(0.1),  # 32
            down(32, 64, norm),
            down(64, 128, norm),
            down(128, 256, norm),  # 16, 8, 4
            nn.Flatten(),
            nn.Linear(4096, 128),
            nn.Linear(128, 2048),
            nn.Unflatten(1, (128, 4, 4)),
        )


class TinyDecoder(nn.Module):
    """(N, 128, 4, 4) -> MaskedImage."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            up_shuffle(128, 96, norm),  # 8
            up_shuffle(96, 48, norm),  # 16
            up_shuffle(48, 24, norm),  # 32
            SameConv(24, 16, 3, bias=True),
            nn.PixelShuffle(2),  # 64
        )

    def forward(self, code: Tensor) -> MaskedImage:
        x = self.body(code).float().sigmoid()  # (N, 4, 64, 64)
        return MaskedImage(x[:, :3], x[:, 3:])


# ---------------------------------------------------------------------------------------------------------- generator


class Swapnet(nn.Module):
    """One encoder, one decoder per identity."""

    def __init__(self, size: Size, norm: Norm, n_identities: int) -> None:
        super().__init__()
        coef = {"standard": 1, "lite": 2, "tiny": 0}[size]
        self.encoder = Encoder(norm, coef) if coef else TinyEncoder(norm)
        self.decoders = nn.ModuleList(Decoder(norm, coef) if coef else TinyDecoder(norm) for _ in range(n_identities))

    def forward(self, region: Tensor, identity: int) -> MaskedImage:
        """(N, 3, 64, 64) in [0, 1] -> the answer of one identity's decoder."""
        answer: MaskedImage = self.decoders[identity](self.encoder(region * 2 - 1))
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
