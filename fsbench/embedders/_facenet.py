"""FaceNet: Inception-ResNet v1 and the release files of facenet-pytorch."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsbench.embedders._batches import in_batches
from fsbench.embedders._facenet_network import DIM, FacenetNetwork
from fsbench.errors import WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.faces.chips import cut_chips
from fsbench.interfaces import Context, EmbedderInfo
from fsbench.weights import find, own
from fsbench.weights.tensors import check_tensors, give_tensors, read_tensors

CHIP = 160

_BOX_CENTRE = (0.492, 0.553)
_BOX_SIDE = 0.584
"""Where MTCNN puts its box, as fractions of a crop: medians over 1,258 photographs of LFW; of width and height, which
are 0.506 and 0.674, the geometric mean."""

_MARGIN = 0.16
TEMPLATE_ON_CHIP = (TEMPLATE - _BOX_CENTRE) / (_BOX_SIDE * (1 + _MARGIN)) + 0.5
"""(5, 2) landmarks on FaceNet's chip: MTCNN's box, enlarged as for training (138 of 160 pixels)."""


class Facenet:
    """The embedder behind both files; `people` are the classes of the file that its authors published."""

    def __init__(self, name: str, people: tuple[str, ...], context: Context) -> None:
        self._context, self._people = context, people
        file = own(Path(context.path), name) if context.path else find(name, context.store.root / "weights")
        named = "logits.weight" in read_state(file.path, len(people))
        self.info = EmbedderInfo(
            family="facenet",
            dim=DIM,
            weights=(file,),
            description="FaceNet (Inception-ResNet v1), 5-point alignment to MTCNN's box",
            classes=people if named else (),
            concurrent=True,
            precision=context.precision,
            batch=16,  # twice as fast as one by one, and a third faster than eight
        )

    @functools.cached_property
    def _networks(self) -> tuple[FacenetNetwork, nn.Linear]:
        return read_networks(self.info.weights[0].path, len(self._people), self._context.device)

    @torch.inference_mode()
    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 512) features, not normalised."""
        return in_batches(_chips, self._networks[0], crops, landmarks, DIM, self._context)

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> maps of 77, 17, 8 and 3 pixels, see `FacenetNetwork.maps`; differentiable.

        The input is the whole image, resized to 160 pixels (bilinear).
        """
        chips = F.interpolate(images.to(self._context.device), (CHIP, CHIP), mode="bilinear", align_corners=False)
        return self._networks[0].maps(_prewhitened(chips))

    @torch.inference_mode()
    def classify(self, features: Tensor) -> Tensor:
        """(N, 512) as `embed` gave them -> (N, P) logits; raises WeightsError where the file has no classifier."""
        if not self.info.classes:
            raise WeightsError(
                f"{self.info.weights[0].path} was saved without its classifier",
                "`fsbench weights list` names the files that fit",
            )
        logits: Tensor = self._networks[1](features.to(self._context.device))
        return logits


def _chips(crops: Tensor, landmarks: Tensor) -> Tensor:
    return _prewhitened(cut_chips(crops, landmarks, TEMPLATE_ON_CHIP, CHIP))


def _prewhitened(chips: Tensor) -> Tensor:
    return (chips * 255 - 127.5) / 128


@torch.inference_mode(False)  # made inside of `embed`, they could not be used outside
def read_networks(path: Path, n_classes: int, device: torch.device) -> tuple[FacenetNetwork, nn.Linear]:
    """Read the network, (N, 3, 160, 160) in [-1, 1] -> (N, 512), and the classifier of its features."""
    with torch.device("meta"):
        network = FacenetNetwork(n_classes)
    give_tensors(network, read_state(path, n_classes))
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)  # which is faster on a CPU
    return network, network.logits


def read_state(path: Path, n_classes: int) -> dict[str, Tensor]:
    """Read the network's tensors, with or without the classifier's, by name; no code in the file is run.

    Raises WeightsError for a file that is damaged, of another kind, or of another network.
    """
    state = read_tensors(path)
    with torch.device("meta"):
        wanted = FacenetNetwork(n_classes).state_dict()
    optional = {name for name in wanted if name.startswith("logits.") or name.endswith(".num_batches_tracked")}
    if "logits.weight" in state:
        optional -= {"logits.bias"}
    check_tensors(path, "FaceNet", state, wanted, optional)
    return state
