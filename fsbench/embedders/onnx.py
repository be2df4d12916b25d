"""Any face recogniser in an ONNX file, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fsbench.embedders._batches import in_batches
from fsbench.embedders._onnx_preprocessing import ARCFACES, Preprocessing, probe
from fsbench.errors import BadParameter, UnknownName
from fsbench.faces.chips import ARCFACE, cut_chips
from fsbench.interfaces import Context, EmbedderInfo, WeightsFile
from fsbench.onnx.session import OnnxSession
from fsbench.registry import embedders
from fsbench.weights import CATALOGUE, find, own

Order = Literal["auto", "rgb", "bgr"]


KNOWN = {
    "arcface_mbf": ARCFACES,
    "edgeface_s": ARCFACES,
    "mobilefacenet": Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "sface": Preprocessing((0.0,), (1.0,)),  # the file subtracts and divides for itself
}
"""By name in the catalogue of weights."""

SIZE = 112


@embedders.register("onnx")
class Onnx:
    """Any face recogniser saved as ONNX: sface, arcface_mbf, edgeface_s, mobilefacenet or a file of your own.

    It is written onnx(sface), onnx(PATH) or onnx@PATH. The preprocessing of the four is known. For another file these
    can be given: `size` in pixels (read from the file where it is fixed there), `mean` and `std` in levels of 0 to 255
    (one number, or one a channel, as 123.7/116.3/103.5, red first) and `order` of channels. Where neither mean nor std
    is given, a file that normalises for itself gets the levels that it expects, by its first operators or by its
    features of drawn faces. Otherwise the levels are ArcFace's, and the result says so. Faces are aligned to ArcFace's
    five points. It runs on a GPU where onnxruntime-gpu is installed.
    """

    def __init__(
        self, *, file: str = "", size: int = 0, mean: str = "", std: str = "", order: Order = "auto", context: Context
    ) -> None:
        if file and context.path:
            raise BadParameter(f"onnx is given two files: {file} and {context.path}", "write onnx(PATH)")
        if not file and not context.path:
            raise BadParameter("onnx needs a file", f"write onnx(PATH), or onnx(NAME) with one of {', '.join(KNOWN)}")
        weights = _find(context.path or file, context)
        self._context = context
        self._session = OnnxSession(weights.path, size, SIZE, context.device, context.log)
        known, why = self._preprocessing(weights, bool(mean or std), context)
        self._mean = _levels("mean", mean, known.mean, context.device)
        self._std = _levels("std", std, known.std, context.device)
        self._reverse = (known.order if order == "auto" else order) == "bgr"
        self.info = EmbedderInfo(
            family=weights.name if weights.name in KNOWN else weights.path.stem,
            dim=self._session.dim,
            weights=(weights,),
            description=f"{weights.name} (ONNX), 5-point alignment to ArcFace's template, {self._session.size} px, "
            f"{'BGR' if self._reverse else 'RGB'}, mean {_told(self._mean)}, std {_told(self._std)}"
            + (f" ({why})" if why else ""),
            concurrent=True,
        )

    def _preprocessing(self, weights: WeightsFile, given: bool, context: Context) -> tuple[Preprocessing, str]:
        """The levels that the network expects, and how they are known; "" where they are given or in KNOWN."""
        if given or weights.name in KNOWN:
            return KNOWN.get(weights.name, ARCFACES), ""
        found, why, guessed = probe(
            weights.path, self._session.size, lambda levels: self._session(torch.from_numpy(levels)).numpy()
        )
        if guessed:
            levels = f"mean {found.mean[0]:g} and std {found.std[0]:g}"
            context.log(
                f"{weights.path.name}: {levels} are {why}; say otherwise with onnx(PATH,mean=..,std=..), in "
                "levels of 0 to 255"
            )
        return found, why

    @torch.inference_mode()
    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, D) features, not normalised."""
        return in_batches(self._shown, self._session, crops, landmarks, self.info.dim, self._context)

    def _shown(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        chips = cut_chips(crops, landmarks, ARCFACE, self._session.size)
        levels = chips.mul_(255).sub_(self._mean).div_(self._std)
        return levels.flip(1) if self._reverse else levels


def _find(file: str, context: Context) -> WeightsFile:
    if file in KNOWN:
        return find(file, context.store.root / "weights")
    path = Path(file).expanduser()
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        texts = {name: CATALOGUE[name].text for name in KNOWN}
        raise UnknownName("ONNX model", file, KNOWN, "or a file: onnx(PATH)", texts)
    return own(path)


def _told(levels: Tensor) -> str:
    return "/".join(f"{level:g}" for level in levels.flatten().tolist())


def _levels(name: str, text: str, known: tuple[float, ...], device: torch.device) -> Tensor:
    """Read one number or three; (1 or 3, 1, 1)."""
    try:
        values = tuple(map(float, text.split("/"))) if text else known
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or (name == "std" and not all(values)):
        raise BadParameter(
            f"onnx({name}={text}) is not one number, or three with / between them",
            "write levels of 0 to 255, such as 127.5 or 123.7/116.3/103.5",
        )
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
