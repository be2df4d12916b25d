"""Landmarks of real frames that were encoded again: the noise of the network that finds them."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fsbench.faces import detect
from fsbench.images import to_bytes, to_float
from fsbench.interfaces import Context, ObserverInfo
from fsbench.observers.face_mesh import FaceMesh
from fsbench.registry import observers

QUALITY = 90
"""Of the JPEG, colour at half resolution. Between 95 and 85 the noise of the face mesh is that of another face."""


@observers.register("reencoded")
class Reencoded:
    """The landmarks that another observer finds in real frames after a JPEG of quality 90; outputs are not shown to it.

    Nothing moves when a frame is encoded again: what the landmarks move by is the noise of the network. It gives
    "landmarks" as `network` does, (N, 5, 2) of five_points and (N, 478, 3) of face_mesh; NaN where no face is found.
    """

    def __init__(self, *, network: Literal["five_points", "face_mesh"] = "five_points", context: Context) -> None:
        self._device = context.device
        self._mesh = FaceMesh(context=context) if network == "face_mesh" else None
        of = self._mesh.info.description if self._mesh else detect.VERSION
        self.info = ObserverInfo(
            self._mesh.info.weights if self._mesh else (),
            f"landmarks of {network} after a JPEG of quality {QUALITY} ({of})",
            outputs=False,
            batch=self._mesh.info.batch if self._mesh else 1,
        )

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks, which are not used -> "landmarks"."""
        again = to_float(np.stack([_jpeg(pixels) for pixels in to_bytes(crops)]))
        if self._mesh:
            return {"landmarks": self._mesh.observe(again, landmarks)["landmarks"]}
        return {"landmarks": torch.from_numpy(self._detector.detect_crops(again).astype(np.float32))}

    @functools.cached_property
    def _detector(self) -> detect.Detector:
        return detect.Detector(self._device)


def _jpeg(pixels: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 -> the same after JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="JPEG", quality=QUALITY, subsampling="4:2:0")
    return np.asarray(Image.open(file))
