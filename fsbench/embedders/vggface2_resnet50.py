"""ResNet-50 trained on VGGFace2: the judge and the coach of many face-swap experiments."""

from __future__ import annotations

from typing import Literal

from fsbench.embedders._vggface2 import Vggface2
from fsbench.interfaces import Context
from fsbench.registry import embedders


@embedders.register("vggface2_resnet50")
class Vggface2Resnet50(Vggface2):
    """VGGFace2's ResNet-50: 2048-d features, and a classifier of 8,631 people.

    `weights` selects the file. keras and keras_notop are keras-vggface's, the second without the classifier. ft
    (trained on MS1M before) and scratch are VGGFace2-pytorch's. auto is the first of these that is present.
    `vggface2_resnet50@PATH` reads a file of either project, or raises WeightsError.
    Cao et al., "VGGFace2: A dataset for recognising faces across pose and age", FG 2018.
    """

    def __init__(
        self, *, weights: Literal["auto", "keras", "keras_notop", "ft", "scratch"] = "auto", context: Context
    ) -> None:
        super().__init__("resnet50", weights, context)
