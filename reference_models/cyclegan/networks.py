"""The networks of Zhu et al. 2017 (arXiv:1703.10593, section 7.2): ResNet generators and patch discriminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

Size = Literal["standard", "large", "tiny"]


@dataclass(frozen=True)
class Architecture:
    """What a size means."""

    resolution: int
    channels: int  # of the generator's first layer
    n_blocks: int
    critic_channels: int
    n_critic_layers: int  # 3 sees patches of 70 x 70 pixels, 2 of 34 x 34
    batch: int


ARCHITECTURES: dict[Size, Architecture] = {
    "standard": Architecture(128, 64, 6, 64, 3, batch=1),
    "large": Architecture(256, 64, 9, 64, 3, batch=1),
    "tiny": Architecture(64, 16, 3, 32, 2, batch=4),  # what two CPU cores do a few hundred steps of in minutes
}


class CycleOutput(NamedTuple):
    """What a generator makes of a region."""

    image: Tensor  # (N, 3, S, S) in [-1, 1]
    alpha: Tensor  # (N, 1, S, S) in [0, 1]; ones in the form without a mask

    def over(self, region: Tensor) -> Tensor:
        """Compose with the region that it was made from."""
        return self.alpha * self.image + (1 - self.alpha) * region


class CycleResBlock(nn.Module):
    """Two normalised convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class ResnetGenerator(nn.Module):
    """c7s1-64, d128, d256, R256 x n, u128, u64, c7s1-3; with `mask`, a fourth output is alpha."""

    def __init__(self, channels: int, n_blocks: int, mask: bool) -> None:
        super().__init__()
        c = channels
        self.mask = mask
        self.body = nn.Sequential(
            nn.Conv2d(3, c, 7, padding=3, padding_mode="reflect"),
            nn.InstanceNorm2d(c),
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 3, 2, 1),
            nn.InstanceNorm2d(2 * c),
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 3, 2, 1),
            nn.InstanceNorm2d(4 * c),
            nn.ReLU(),
            *(CycleResBlock(4 * c) for _ in range(n_blocks)),
            nn.ConvTranspose2d(4 * c, 2 * c, 3, 2, 1, output_padding=1),
            nn.InstanceNorm2d(2 * c),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 3, 2, 1, output_padding=1),
            nn.InstanceNorm2d(c),
            nn.ReLU(),
            nn.Conv2d(c, 4 if mask else 3, 7, padding=3, padding_mode="reflect"),
        )

    def forward(self, region: Tensor) -> CycleOutput:
        """(N, 3, S, S) in [-1, 1]."""
        out = self.body(region).float()
        return CycleOutput(out[:, :3].tanh(), out[:, 3:].sigmoid() if self.mask else torch.ones_like(out[:, :1]))


class PatchDiscriminator(nn.Sequential):
    """(N, 3, S, S) in [-1, 1] -> one linear score per overlapping patch; C64-C128-C256-C512 for three layers."""

    def __init__(self, channels: int, n_layers: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        n_in = channels
        for i in range(1, n_layers + 1):
            n_out = channels * min(2**i, 8)
            stride = 2 if i < n_layers else 1
            layers += [nn.Conv2d(n_in, n_out, 4, stride, 1), nn.InstanceNorm2d(n_out), nn.LeakyReLU(0.2)]
            n_in = n_out
        super().__init__(*layers, nn.Conv2d(n_in, 1, 4, 1, 1))


class ImagePool(nn.Module):
    """Up to 50 earlier fakes: half of what the critic sees comes from here (Shrivastava et al. 2017)."""

    def __init__(self, resolution: int, capacity: int = 50) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(capacity, 3, resolution, resolution))
        self.register_buffer("n", torch.zeros((), dtype=torch.int64))
        self.images: Tensor
        self.n: Tensor

    def exchange(self, fakes: Tensor, generator: Generator) -> Tensor:
        """Return the fakes, each with probability one half replaced by an earlier one whose place it takes."""
        count, capacity = int(self.n), len(self.images)
        if count < capacity:
            fresh = fakes[: capacity - count]
            self.images[count : count + len(fresh)] = fresh
            self.n += len(fresh)
            return fakes
        places = torch.rand(capacity, generator=generator, device=fakes.device).argsort()[: len(fakes)]
        keep = torch.rand(len(fakes), 1, 1, 1, generator=generator, device=fakes.device) < 0.5
        earlier = self.images[places]
        self.images[places] = torch.where(keep, earlier, fakes)
        return torch.where(keep, fakes, earlier)


def initialise(networks: nn.Module, generator: Generator) -> None:
    """Draw all weights from N(0, 0.02), biases 0."""
    for layer in networks.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
