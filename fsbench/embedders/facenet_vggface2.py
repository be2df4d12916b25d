"""FaceNet, trained on VGGFace2."""

from __future__ import annotations

from fsbench.embedders._facenet import Facenet
from fsbench.embedders._vggface2 import class_names
from fsbench.interfaces import Context
from fsbench.registry import embedders


@embedders.register("facenet_vggface2")
class FacenetVggface2(Facenet):
    """FaceNet (Inception-ResNet v1) trained on VGGFace2, 512-d, with a classifier of 8,631 people.

    The weights are facenet-pytorch's 20180402-114759-vggface2.pt, or any state dict of that network, with or without
    `logits`, as facenet_vggface2@PATH. Its authors claim 99.65 % of LFW's pairs. Its classes are the folders of
    VGGFace2's training set in alphabetical order, n000002 first: the order in which identity_meta.csv names them.
    """

    def __init__(self, *, context: Context) -> None:
        super().__init__("facenet_vggface2", class_names(), context)
