"""DINO's ViT-B/16, whose features VBench compares over time."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.images import to_levels
from fsbench.interfaces import Context, ObserverInfo
from fsbench.registry import observers
from fsbench.weights import find, own
from fsbench.weights.tensors import give_finite, read_tensors

if TYPE_CHECKING:
    from torch import nn

SIDE = 224
BATCH = 16
"""Images that go through the network at once."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NAMES = (  # in DINO's file, and in torchvision's network of the same layers
    (r"cls_token", "class_token"),
    (r"pos_embed", "encoder.pos_embedding"),
    (r"patch_embed\.proj\.", "conv_proj."),
    (r"norm\.", "encoder.ln."),
    (r"blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.encoder_layer_\1.ln_\2."),
    (r"blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_"),
    (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
    (r"blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
)


@observers.register("dino")
class Dino:
    """DINO's ViT-B/16, trained on ImageNet without labels: its class token, 768 numbers of a whole image.

    It gives "class_token" (N, 768), not normalised. Images are resized to 224 pixels as VBench does: 8-bit levels,
    bilinear without smoothing, rounded. Landmarks are not used: an image without a face is processed like any other.

    The weights are the authors' file of the backbone, or one like it as dino@PATH. Caron et al., "Emerging Properties
    in Self-Supervised Vision Transformers", ICCV 2021.
    """

    def __init__(self, *, context: Context) -> None:
        self._context = context
        folder = context.store.root / "weights"
        file = own(Path(context.path), "dino_vitb16") if context.path else find("dino_vitb16", folder)
        description = f"DINO ViT-B/16, images resized to {SIDE} pixels"
        self.info = ObserverInfo((file,), description, concurrent=True, precision=context.precision)
        _ = self._network  # a file of another network fails before the work starts

    @functools.cached_property
    def _network(self) -> nn.Module:
        from torchvision.models import vit_b_16  # slow to import

        path = self.info.weights[0].path
        with torch.device("meta"):
            network = vit_b_16(weights=None)
        network.heads = torch.nn.Identity()
        give_finite(path, "DINO's ViT-B/16", network, {_renamed(k): v for k, v in read_tensors(path).items()})
        placed: nn.Module = network.to(self._context.device)
        return placed

    @torch.inference_mode()
    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops -> "class_token" (N, 768)."""
        tokens = []
        for part in torch.split(crops, BATCH):
            prepared = prepare(part.to(self._context.device))
            with self._context.reduced():
                tokens.append(self._network(prepared))
        return {"class_token": torch.cat(tokens).float()}


def prepare(crops: Tensor) -> Tensor:
    """(N, 3, S, S) in [0, 1] -> (N, 3, 224, 224), the input of the network."""
    levels = 255 * to_levels(crops)
    resized = F.interpolate(levels, (SIDE, SIDE), mode="bilinear", align_corners=False).round()
    mean, deviation = (torch.tensor(values, device=crops.device)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (resized / 255 - mean) / deviation


def _renamed(name: object) -> str:
    for pattern, replacement in _NAMES:
        renamed, n = re.subn(f"^{pattern}", replacement, str(name))
        if n:
            return renamed
    return str(name)
