"""An ONNX file as a function from chips to features; its sizes are found out when it is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fsbench.embedders._onnx_format import keeps_numbers_elsewhere
from fsbench.embedders._onnx_graph import read_graph
from fsbench.errors import BadParameter, WeightsError
from fsbench.weights.formats import mismatch, quoted, reason

if TYPE_CHECKING:
    import onnxruntime

_GPU = "CUDAExecutionProvider"
_FATAL_ONLY = 4  # else SFace's file warns a hundred times, and probing may fail


class OnnxSession:
    """(N, 3, size, size) float32 -> (N, dim); one image at a time where the file has no larger batches.

    Raises WeightsError for a file that is no ONNX model, not a whole one, or not one from images to features;
    BadParameter for a size that the file does not take. `log` gets a message where ONNX Runtime cannot use a GPU.
    """

    def __init__(
        self, path: Path, size: int, default_size: int, device: torch.device, log: Callable[[str], None]
    ) -> None:
        self._path = path
        self._runtime = _open(path, device)
        if device.type == "cuda" and _GPU not in self._runtime.get_providers():
            log(f"{path.name} runs on the CPU: ONNX Runtime finds no GPU that it can use (pip install onnxruntime-gpu)")
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
        except _failures() as error:  # a name that is no text
            raise self._refuse(_reason(error)) from error
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
        except _failures() as error:
            raise self._refuse(_reason(error)) from error
        reason = "no output is tensor(float)"
        for n in (1,) if batch == 1 or not names else (2, 1):
            shape = (n, self.size, self.size, 3) if self._channels_last else (n, 3, self.size, self.size)
            try:
                answers = self._run(np.zeros(shape, np.float32), *names) if names else []
            except _failures() as error:
                reason = f"it cannot be run on {'x'.join(map(str, shape))} ({_reason(error)})"
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


def _open(path: Path, device: torch.device) -> onnxruntime.InferenceSession:
    import onnxruntime

    if keeps_numbers_elsewhere(path):  # its hash would not be that of the network
        raise WeightsError(
            f"{path} keeps its numbers in another file",
            "save it as one file, for example with torch.onnx.export(..., external_data=False)",
        )
    graph = read_graph(path)
    if graph is not None and (excess := graph.excess(path.stat().st_size)):
        raise WeightsError(
            f"{path} asks for more memory than a face recogniser needs: {excess}",
            "take it from its source again; it may be damaged",
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = 1  # features do not depend on the number of cores
    # A pool that waits by spinning takes the cores from torch's, which works in turns with it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = [_GPU] if device.type == "cuda" else []
    there = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=[*there, "CPUExecutionProvider"], enable_fallback=bool(there)
        )  # it prints, and tries the same again
    except _failures() as error:
        if graph is None:
            raise WeightsError(
                mismatch(path, "ONNX model", _reason(error)), "`fsbench weights list` names files that fit"
            ) from error
        raise WeightsError(
            f"{path} is an ONNX model that ONNX Runtime {onnxruntime.__version__} cannot run: {_reason(error)}",
            "pip install --upgrade onnxruntime; or save it with an older opset and the standard's operators alone",
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no common class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*found, RuntimeError, ValueError)


def _reason(error: Exception) -> str:
    """All that ONNX Runtime says, on one line, without its own source files."""
    text = reason(error) or type(error).__name__
    return re.sub(r"\S*/onnxruntime/\S+ (?=[A-Za-z_:]+)", "", text)
