"""An ONNX file as a function from chips to features; its sizes are found out when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import BadParameter, WeightsError
from fsbench.onnx.runtime import explain, failures, open_network
from fsbench.weights.formats import quoted

_KNOWN = "`fsbench weights list` names files that fit"


class OnnxSession:
    """(N, 3, size, size) float32 -> (N, dim); one image at a time where the file has no larger batches.

    Raises WeightsError for a file that is no ONNX model, not a whole one, or not one from images to features;
    BadParameter for a size that the file does not take. `log` gets a message where ONNX Runtime cannot use a GPU.
    """

    def __init__(
        self, path: Path, size: int, default_size: int, device: torch.device, log: Callable[[str], None]
    ) -> None:
        self._path = path
        self._runtime = open_network(path, device, log, kind="face recogniser", hint=_KNOWN)
        self._input, shape = self._image_input()
        self._channels_last = shape[1] != 3 and shape[3] == 3
        self.size = self._find_size(shape[1:3] if self._channels_last else shape[2:], size, default_size)
        self._output, self.dim, self._batch = self._probe(shape[0])

    def __call__(self, images: Tensor) -> Tensor:
        """Run the network; features lie where the images do."""
        pixels = images.cpu().numpy()
        if self._channels_last:
            pixels = np.moveaxis(pixels, 1, 3)
        pixels = np.ascontiguousarray(pixels)
        step = self._batch or len(pixels)
        parts = [self._run(pixels[start : start + step], self._output) for start in range(0, len(pixels), step)]
        return torch.from_numpy(np.concatenate([part.reshape(len(part), -1) for (part,) in parts])).to(images.device)

    def _run(self, pixels: np.ndarray, *outputs: str) -> list[np.ndarray]:
        found: list[np.ndarray] = self._runtime.run(list(outputs), {self._input: pixels})
        return found

    def _refuse(self, reason: str) -> WeightsError:
        return WeightsError(
            f"{self._path} is no network from face images to features: {reason}",
            "it should take one image of three channels and give one vector",
        )

    def _image_input(self) -> tuple[str, list[Any]]:
        """Return name and shape of the input; text or None in a shape is a size that may vary."""
        try:
            inputs = [(one.name, one.type, one.shape) for one in self._runtime.get_inputs()]
        except failures() as error:  # a name that is no text
            raise self._refuse(explain(error)) from error
        if len(inputs) != 1:
            raise self._refuse(f"it has {len(inputs)} inputs")
        ((name, kind, shape),) = inputs
        if kind != "tensor(float)":
            raise self._refuse(f"its input is {kind}, not tensor(float)")
        if len(shape) != 4 or (3 not in (shape[1], shape[3]) and isinstance(shape[1], int)):
            raise self._refuse(f"its input has the shape {'x'.join(quoted(n or '?') for n in shape) or 'of a number'}")
        return name, shape

    def _find_size(self, shape: list[Any], size: int, default_size: int) -> int:
        fixed = {n for n in shape if isinstance(n, int)}
        if len(fixed) > 1:
            raise self._refuse(f"its images have {shape[1]} columns and {shape[0]} rows, which is no square")
        if size and fixed and size not in fixed:
            raise BadParameter(f"{self._path} takes images of {fixed.pop()} pixels, not {size}", "leave size out")
        return fixed.pop() if fixed else size or default_size

    def _probe(self, batch: Any) -> tuple[str, int, int]:
        """Return the output that holds features, their size, and how many images are run at once; 0 for any number."""
        if isinstance(batch, int) and batch != 1:
            raise self._refuse(f"it takes exactly {batch} images at once")
        try:
            names = [output.name for output in self._runtime.get_outputs() if output.type == "tensor(float)"]
        except failures() as error:
            raise self._refuse(explain(error)) from error
        reason = "no output is tensor(float)"
        for n in (1,) if batch == 1 or not names else (2, 1):
            shape = (n, self.size, self.size, 3) if self._channels_last else (n, 3, self.size, self.size)
            try:
                answers = self._run(np.zeros(shape, np.float32), *names) if names else []
            except failures() as error:
                reason = f"it cannot be run on {'x'.join(map(str, shape))} ({explain(error)})"
                continue
            vectors = [
                (name, answer.size // n)
                for name, answer in zip(names, answers, strict=True)
                if answer.ndim > 1 and len(answer) == n and answer.size // n == max(answer.shape[1:]) > 1
            ]
            if len(vectors) == 1:
                return *vectors[0], 0 if n == 2 else 1
            reason = f"{len(vectors)} of its {len(names)} outputs could be features"
        raise self._refuse(reason)
