"""SE-ResNet-50 trained on VGGFace2."""

from __future__ import annotations

from typing import Literal

from fsbench.embedders._vggface2 import Vggface2
from fsbench.interfaces import Context
from fsbench.registry import embedders


@embedders.register("vggface2_senet50")
class Vggface2Senet50(Vggface2):
    """VGGFace2's SE-ResNet-50: 2048-d features, and a classifier of 8,631 people.

    `weights` and `vggface2_senet50@PATH` are those of vggface2_resnet50.
    Cao et al., "VGGFace2: A dataset for recognising faces across pose and age", FG 2018; Hu et al.,
    "Squeeze-and-Excitation Networks", CVPR 2018.
    """

    def __init__(
        self, *, weights: Literal["auto", "keras", "keras_notop", "ft", "scratch"] = "auto", context: Context
    ) -> None:
        super().__init__("senet50", weights, context)
