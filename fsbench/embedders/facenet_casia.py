"""FaceNet, trained on CASIA-WebFace."""

from __future__ import annotations

from fsbench.embedders._facenet import Facenet
from fsbench.interfaces import Context
from fsbench.registry import embedders

_PEOPLE = tuple(f"CASIA class {i}" for i in range(10_575))


@embedders.register("facenet_casia")
class FacenetCasia(Facenet):
    """FaceNet (Inception-ResNet v1) trained on CASIA-WebFace, 512-d, with a classifier of 10,575 people.

    The weights are facenet-pytorch's 20180408-102900-casia-webface.pt, or any state dict of that network, with or
    without `logits`, as facenet_casia@PATH. Its authors claim 99.05 % of LFW's pairs. The names of its classes were not
    published.
    """

    def __init__(self, *, context: Context) -> None:
        super().__init__("facenet_casia", _PEOPLE, context)
