"""Inception-ResNet v1 as FaceNet has it.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", AAAI 2017, figures
10 to 15. Names of the layers, strides, and the scales of residuals are those of facenet-pytorch's files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DIM = 512

Side = int | tuple[int, int]


class _Convolution(nn.Module):
    """Convolution, batch norm, ReLU; padded to keep the size where a stride is not given."""

    def __init__(self, wide: int, out: int, side: Side = 1, stride: int = 1, padded: bool | None = None) -> None:
        super().__init__()
        sides = (side, side) if isinstance(side, int) else side
        keep = stride == 1 if padded is None else padded
        padding = (sides[0] // 2, sides[1] // 2) if keep else 0
        self.conv = nn.Conv2d(wide, out, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        normal: Tensor = self.bn(self.conv(x))
        return normal.relu()


class _Residual(nn.Module):
    """Branches side by side, joined to the width of the input, and added to it by a scale."""

    def __init__(self, wide: int, scale: float, *branches: nn.Module, joined: int, last: bool = False) -> None:
        super().__init__()
        self.scale, self.last, self.n = scale, last, len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.conv2d = nn.Conv2d(joined, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.n)], 1)
        x = self.conv2d(joined) * self.scale + x
        return x if self.last else x.relu()


class _Reduction(nn.Module):
    """Branches that halve the size, and a maximum of the input, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.n = len(branches)
        for i, branch in enumerate((*branches, nn.MaxPool2d(3, 2))):
            self.add_module(f"branch{i}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.n + 1)], 1)


def _block_35() -> nn.Module:
    first, second = (_Convolution(256, 32) for _ in range(2))
    return _Residual(
        256, 0.17, _Convolution(256, 32),
        nn.Sequential(first, _Convolution(32, 32, 3)),
        nn.Sequential(second, _Convolution(32, 32, 3), _Convolution(32, 32, 3)),
        joined=96,
    )  # fmt: skip


def _block_17() -> nn.Module:
    long = nn.Sequential(_Convolution(896, 128), _Convolution(128, 128, (1, 7)), _Convolution(128, 128, (7, 1)))
    return _Residual(896, 0.1, _Convolution(896, 128), long, joined=256)


def _block_8(scale: float = 0.2, last: bool = False) -> nn.Module:
    long = nn.Sequential(_Convolution(1792, 192), _Convolution(192, 192, (1, 3)), _Convolution(192, 192, (3, 1)))
    return _Residual(1792, scale, _Convolution(1792, 192), long, joined=384, last=last)


class FacenetNetwork(nn.Module):
    """(N, 3, 160, 160) in [-1, 1] -> (N, 512) features, not normalised; `logits` classifies them."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.conv2d_1a = _Convolution(3, 32, 3, 2)
        self.conv2d_2a = _Convolution(32, 32, 3, padded=False)
        self.conv2d_2b = _Convolution(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = _Convolution(64, 80)
        self.conv2d_4a = _Convolution(80, 192, 3, padded=False)
        self.conv2d_4b = _Convolution(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(_block_35() for _ in range(5)))
        self.mixed_6a = _Reduction(
            _Convolution(256, 384, 3, 2),
            nn.Sequential(_Convolution(256, 192), _Convolution(192, 192, 3), _Convolution(192, 256, 3, 2)),
        )
        self.repeat_2 = nn.Sequential(*(_block_17() for _ in range(10)))
        self.mixed_7a = _Reduction(
            nn.Sequential(_Convolution(896, 256), _Convolution(256, 384, 3, 2)),
            nn.Sequential(_Convolution(896, 256), _Convolution(256, 256, 3, 2)),
            nn.Sequential(_Convolution(896, 256), _Convolution(256, 256, 3), _Convolution(256, 256, 3, 2)),
        )
        self.repeat_3 = nn.Sequential(*(_block_8() for _ in range(5)))
        self.block8 = _block_8(1.0, last=True)
        self.last_linear = nn.Linear(1792, DIM, bias=False)
        self.last_bn = nn.BatchNorm1d(DIM, eps=0.001)
        self.logits = nn.Linear(DIM, n_classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps before the first pool and of the three groups of residuals."""
        raw = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))  # (N, 64, 77, 77)
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(raw))))  # (N, 256, 17, 17)
        first = self.repeat_1(x)  # (N, 256, 17, 17)
        second = self.repeat_2(self.mixed_6a(first))  # (N, 896, 8, 8)
        third = self.block8(self.repeat_3(self.mixed_7a(second)))  # (N, 1792, 3, 3)
        return [raw, first, second, third]

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.maps(x)[-1], 1).flatten(1)
        features: Tensor = self.last_bn(self.last_linear(x))
        return features
