"""Opens an ONNX file with ONNX Runtime; whatever is wrong with it is a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fsbench.errors import WeightsError
from fsbench.onnx.format import keeps_numbers_elsewhere
from fsbench.onnx.graph import read_graph
from fsbench.weights.formats import mismatch, reason

if TYPE_CHECKING:
    import onnxruntime

_GPU = "CUDAExecutionProvider"
_FATAL_ONLY = 4  # else SFace's file warns a hundred times, and probing may fail


def open_network(
    path: Path, device: torch.device, log: Callable[[str], None], *, kind: str, hint: str
) -> onnxruntime.InferenceSession:
    """Open a network, on one core of the CPU or on the GPU; raises WeightsError for a file that cannot be run.

    `kind` names in errors what the file should hold, `hint` says where such a file is found. `log` gets a message where
    ONNX Runtime cannot use the GPU that was asked for.
    """
    import onnxruntime

    if keeps_numbers_elsewhere(path):  # its hash would not be that of the network
        raise WeightsError(
            f"{path} keeps its numbers in another file",
            "save it as one file, for example with torch.onnx.export(..., external_data=False)",
        )
    graph = read_graph(path)
    if graph is not None and (excess := graph.excess(path.stat().st_size)):
        raise WeightsError(
            f"{path} asks for more memory than a {kind} needs: {excess}",
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
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[*there, "CPUExecutionProvider"], enable_fallback=bool(there)
        )  # it prints, and tries the same again
    except failures() as error:
        if graph is None:
            raise WeightsError(mismatch(path, "ONNX model", explain(error)), hint) from error
        raise WeightsError(
            f"{path} is an ONNX model that ONNX Runtime {onnxruntime.__version__} cannot run: {explain(error)}",
            "pip install --upgrade onnxruntime; or save it with an older opset and the standard's operators alone",
        ) from error
    if wanted and _GPU not in session.get_providers():
        log(f"{path.name} runs on the CPU: ONNX Runtime finds no GPU that it can use (pip install onnxruntime-gpu)")
    return session


def failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no common class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*found, RuntimeError, ValueError)


def explain(error: Exception) -> str:
    """All that ONNX Runtime says, on one line, without its own source files."""
    text = reason(error) or type(error).__name__
    return re.sub(r"\S*/onnxruntime/\S+ (?=[A-Za-z_:]+)", "", text)
