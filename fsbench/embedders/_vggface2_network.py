"""ResNet-50 and SE-ResNet-50 as VGGFace2's authors trained them, in torch.

Cao et al., "VGGFace2: A dataset for recognising faces across pose and age", FG 2018. Tensors are named as in
VGGFace2-pytorch. Its stride is in the first convolution of a block, unlike torchvision's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fsbench.embedders._vggface2_h5 import is_h5, read_h5
from fsbench.errors import WeightsError
from fsbench.weights.formats import quoted
from fsbench.weights.pickles import read_pickle

Architecture = Literal["resnet50", "senet50"]

CHIP = 224
"""Pixels, height and width of the chips that the networks take."""

DIM = 2048
CLASSES = 8631

_MEAN_BGR = (91.4953, 103.8827, 131.0912)
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks
_SQUEEZE = 16


@dataclass(frozen=True)
class Flavour:
    """The differences between the two implementations for which these weights were written."""

    pad: tuple[int, int]  # zeros before and after the image, at the first convolution
    ceil: bool  # the first pool keeps a window that goes beyond the map
    eps: float  # of batch normalisation


KERAS = {"resnet50": Flavour((2, 3), False, 1e-3), "senet50": Flavour((2, 3), False, 1e-4)}
PYTORCH = Flavour((3, 3), True, 1e-5)


class Bottleneck(nn.Module):
    """Bottleneck of three convolutions and a shortcut; with squeeze and excitation where `squeeze` is set."""

    def __init__(self, width_in: int, width: int, stride: int, squeeze: bool, eps: float) -> None:
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width, eps)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width, eps)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out, eps)
        self.squeeze = squeeze
        if squeeze:
            self.conv4, self.conv5 = nn.Conv2d(out, out // _SQUEEZE, 1), nn.Conv2d(out // _SQUEEZE, out, 1)
        self.downsample = nn.Sequential()
        if width_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(width_in, out, 1, stride, bias=False), nn.BatchNorm2d(out, eps))

    def fuse(self) -> None:
        """Make each convolution and its normalisation one, which is a fifth faster on a CPU."""
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")):
            setattr(self, conv, fuse_conv_bn_eval(getattr(self, conv), getattr(self, norm)))
            setattr(self, norm, nn.Identity())
        if len(self.downsample):
            self.downsample = nn.Sequential(fuse_conv_bn_eval(*self.downsample))

    def sum(self, x: Tensor) -> Tensor:
        """Branch and shortcut, before the activation."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        if self.squeeze:
            y = y * self.conv5(F.relu(self.conv4(y.mean((2, 3), keepdim=True)))).sigmoid()
        total: Tensor = y + self.downsample(x)
        return total

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.sum(x), inplace=True)


class VggfaceNetwork(nn.Module):
    """(N, 3, 224, 224) RGB chips in [0, 1] -> (N, 2048), the pooled maps before the classifier."""

    mean: Tensor

    def __init__(self, architecture: Architecture, flavour: Flavour, classifier: bool) -> None:
        super().__init__()
        self.flavour = flavour
        mean = torch.tensor(_MEAN_BGR, device="cpu").view(3, 1, 1)  # also where the rest is made without memory
        self.register_buffer("mean", mean, persistent=False)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64, flavour.eps)
        width_in = 64
        for number, (width, count) in enumerate(_STAGES, 1):
            blocks = []
            for i in range(count):
                stride = 2 if number > 1 and i == 0 else 1
                blocks.append(Bottleneck(width_in, width, stride, architecture == "senet50", flavour.eps))
                width_in = 4 * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(DIM, CLASSES) if classifier else None

    def stem(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first convolution's maps (N, 64, 112, 112), and what the first stage is given."""
        x = chips.flip(1) * 255 - self.mean  # BGR
        raw = self.conv1(F.pad(x, self.flavour.pad * 2))
        return raw, F.max_pool2d(F.relu(self.bn1(raw)), 3, 2, ceil_mode=self.flavour.ceil)  # 55 or 56 pixels

    @property
    def stages(self) -> list[nn.Module]:
        """The four stages."""
        return [self.get_submodule(f"layer{number}") for number in range(1, len(_STAGES) + 1)]

    def maps(self, chips: Tensor) -> list[Tensor]:
        """Return the first convolution's maps and those of the four stages."""
        raw, x = self.stem(chips)
        maps = [raw]
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps  # the last is (N, 2048, 7, 7)

    def preactivations(self, chips: Tensor) -> list[Tensor]:
        """Return the maps of the very first block and of the last block in each stage, before their activation."""
        _, x = self.stem(chips)
        maps = []
        for number, stage in enumerate(self.stages):
            for place, block in enumerate(stage.children()):
                total = block.sum(x)  # type: ignore[operator]  # they are Bottlenecks
                if number == place == 0:
                    maps.append(total)
                x = F.relu(total)
            maps.append(total)
        return maps

    def forward(self, chips: Tensor) -> Tensor:
        return self.maps(chips)[-1].mean((2, 3))


def read_network(path: Path, architecture: Architecture) -> VggfaceNetwork:
    """Read keras-vggface's h5 or VGGFace2-pytorch's pickle, told apart by their content, ready for inference.

    Raises WeightsError for a file that is damaged, of another network or with code in it.
    """
    keras = is_h5(path)
    arrays = read_h5(path) if keras else read_pickle(path)
    with torch.device("meta"):  # its tensors are those of the file
        network = VggfaceNetwork(
            architecture, KERAS[architecture] if keras else PYTORCH, classifier=not keras or "fc.weight" in arrays
        )
    network.load_state_dict(_fitting(path, architecture, network, arrays), assign=True)
    network.eval().requires_grad_(False)
    for block in network.modules():
        if isinstance(block, Bottleneck):
            block.fuse()
    return network


def _fitting(
    path: Path, architecture: str, network: VggfaceNetwork, arrays: dict[str, np.ndarray]
) -> dict[str, Tensor]:
    """Check that the file has this network's tensors, all of them and no other."""
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}  # of training only
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if name not in counters}
    given = {name: array.shape for name, array in arrays.items() if name not in counters}
    wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"{path} does not hold the {architecture} of VGGFace2: "
            f"{quoted(name)} is {_shape(given.get(name))} instead of {_shape(wanted.get(name))}",
            "`fsbench weights list` names the files that fit",
        )
    tensors = {name: torch.from_numpy(np.array(arrays[name], np.float32, order="C")) for name in wanted}
    return tensors | {name: torch.tensor(0) for name in counters}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape))
