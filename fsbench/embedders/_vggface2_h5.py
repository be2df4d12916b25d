"""keras-vggface's h5 files of VGGFace2's networks, as tensors under the names that VGGFace2-pytorch gives them."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np

from fsbench.errors import WeightsError, one_line
from fsbench.weights.formats import LARGEST, check_file, quoted, reason

_BRANCHES = {
    "1x1_reduce": "conv1",
    "1x1_reduce/bn": "bn1",
    "3x3": "conv2",
    "3x3/bn": "bn2",
    "1x1_increase": "conv3",
    "1x1_increase/bn": "bn3",
    "1x1_down": "conv4",
    "1x1_up": "conv5",  # squeeze and excitation
    "1x1_proj": "downsample.0",
    "1x1_proj/bn": "downsample.1",
}
_ENDS = {"conv1/7x7_s2": "conv1", "conv1/7x7_s2/bn": "bn1", "classifier": "fc"}
_VALUES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

_CODE = "import sys; from fsbench.embedders import _vggface2_h5 as h5; h5.try_to_read(sys.argv[1])"
PATIENCE = 20.0
"""Seconds that reading may take, and as many more as it takes at so many bytes a second."""
_SLOWEST = 5e6

# What h5py raises for files that are truncated, overwritten or of another structure.
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError, OverflowError)


def is_h5(path: Path) -> bool:
    """Tell by its first bytes whether a file is HDF5."""
    check_file(path)
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def has_classifier(path: Path) -> bool:
    """Tell whether an h5 file was saved with its classifier; reads names only. Raises WeightsError."""
    return any(name.startswith("fc.") for name in _read(path, names_only=True))


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors, in the order of dimensions that torch has; raises WeightsError for a damaged file.

    A layer that VGGFace2's networks do not have keeps its own name.
    """
    return _read(path, names_only=False)


def _read(path: Path, names_only: bool) -> dict[str, np.ndarray]:
    check_file(path)
    state = path.stat()
    if fault := _fatal(path, state.st_size, state.st_mtime_ns):
        raise WeightsError(
            f"{path} is damaged: {fault}", "take it from its source again; `fsbench weights list` names those that fit"
        )
    return _read_here(path, names_only)


@functools.cache
def _fatal(path: Path, size: int, changed: int) -> str:
    """How a file would end this process, as HDF5's library crashes or never ends in some that are damaged; "" if not.

    The file is read in a process of its own first, once; that takes half a second.
    """
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _CODE, str(path)],
            check=False,
            capture_output=True,
            timeout=PATIENCE + size / _SLOWEST,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        return "HDF5's library does not come to an end in it"
    return "" if ended.returncode == 0 else f"HDF5's library crashes in it (exit code {ended.returncode})"


def try_to_read(path: str) -> None:
    """Read a file and drop what is in it, or what is wrong with it."""
    with suppress(WeightsError):
        _read_here(Path(path), names_only=False)


def _read_here(path: Path, names_only: bool) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    declared = 0
    try:
        with h5py.File(path, "r") as file:
            for layer in _texts(file.attrs["layer_names"]):
                for full_name in _texts(file[layer].attrs["weight_names"]):
                    array = file[layer][full_name]
                    if array.external or array.is_virtual or array.file.id != file.id:
                        raise WeightsError(
                            f"{path} keeps the numbers of {quoted(full_name)} in another file", "save it as one file"
                        )
                    declared += array.size * array.dtype.itemsize
                    if declared > LARGEST:
                        raise WeightsError(
                            f"{path} declares {declared:,} bytes of numbers, more than the {LARGEST:,} "
                            "that fsbench reads of such a file",
                            "take it from its source again",
                        )
                    value = full_name.rpartition("/")[2].partition(":")[0]
                    name = f"{_torch_layer(layer)}.{_VALUES.get(value, value)}"
                    found[name] = np.empty(0) if names_only else _torch_order(array[()])
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path} is damaged, or holds no weights that Keras saved: {reason(one_line(error))}",
            "take it from its source again; `fsbench weights list` names those that fit",
        ) from error
    return found


def _texts(values: np.ndarray) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _torch_layer(layer: str) -> str:
    """Rename a layer.

    >>> _torch_layer("conv2_1_1x1_proj/bn"), _torch_layer("conv1/7x7_s2"), _torch_layer("fc6")
    ('layer1.0.downsample.1', 'conv1', 'fc6')
    """
    match = re.fullmatch(r"conv([2-5])_([1-9])_(.+)", layer)
    if match is None or match[3] not in _BRANCHES:
        return _ENDS.get(layer, layer)
    return f"layer{int(match[1]) - 1}.{int(match[2]) - 1}.{_BRANCHES[match[3]]}"


def _torch_order(values: np.ndarray) -> np.ndarray:
    """HWIO -> OIHW, IO -> OI; others as they are."""
    if values.ndim == 4:
        return values.transpose(3, 2, 0, 1)
    return values.T
