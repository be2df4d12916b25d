"""RAFT, as torchvision has it.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.weights.tensors import read_network, read_tensors

if TYPE_CHECKING:
    from torch import nn

UPDATES = 12
"""Rounds of refinement, as in torchvision."""

_STRIDE, _SMALLEST = 8, 128  # pixels: features are an eighth as large, and are halved three times


def read_raft(path: Path, device: torch.device) -> nn.Module:
    """Read a network of either size; raises WeightsError for a file that holds none."""
    from torchvision.models.optical_flow import raft_large, raft_small  # slow to import

    state = read_tensors(path)
    build = raft_large if any(name.startswith("mask_predictor") for name in state) else raft_small
    with torch.device("meta"):
        network = build(weights=None)
    read_network(path, f"RAFT ({build.__name__})", network)
    placed: nn.Module = network.to(device)
    return placed


@torch.inference_mode()
def flow_of(network: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """By how many pixels, to the right and down, each of (N, 3, H, W) in [0, 1] moves to the second, (N, 2, H, W).

    Images are enlarged to what the network takes: multiples of 8 pixels, and 128 or more.
    """
    height, width = first.shape[2:]
    grown = [max(_SMALLEST, -(-side // _STRIDE) * _STRIDE) for side in (height, width)]
    if grown != [height, width]:
        first, second = (F.interpolate(side, grown, mode="bilinear", align_corners=False) for side in (first, second))
    flow: Tensor = network(2 * first - 1, 2 * second - 1, num_flow_updates=UPDATES)[-1]
    if grown != [height, width]:
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        flow = flow * flow.new_tensor([width / grown[1], height / grown[0]])[:, None, None]
    return flow
