"""Tables of tensors that torch saved, read without running code that a file may hold."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from fsbench.errors import WeightsError
from fsbench.weights.files import useless
from fsbench.weights.formats import check_file, kind, mismatch


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict, tensors by name, on the CPU.

    Raises WeightsError for a file that is damaged or of another kind; `check_tensors` looks at what is in the table.
    """
    check_file(path)
    found = kind(path)
    if found == "a TorchScript archive":
        raise WeightsError(f"{path} is {found}, a program with its numbers, no {_WANTED}",
                           "save its numbers alone: torch.save(torch.jit.load(PATH).state_dict(), NEW)")
    _check_sizes(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError,
            IndexError, UnicodeDecodeError, OSError) as error:  # as torch.load was seen to fail
        if found in ("a file that torch saved", "a file of torch before 1.6"):
            raise WeightsError(f"{path} is damaged, or holds more than tensors: {_reason(error)}",
                               useless(path)) from error
        raise WeightsError(mismatch(path, _WANTED, _reason(error)), useless(path)) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no table of tensors but a {type(state).__name__}", useless(path))
    return state


_WANTED = "file of tensors that torch saved"


def _check_sizes(path: Path) -> None:
    """Refuse an archive that unpacks to more than it holds: torch compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path} is a damaged zip archive: {error}", useless(path)) from error
    unpacked = sum(member.file_size for member in members)
    if unpacked > path.stat().st_size:
        raise WeightsError(f"{path} unpacks to {unpacked:,} bytes, more than it has: torch saved no such archive",
                           useless(path))


def _reason(error: Exception) -> str:
    """What torch says is wrong, without its advice, which is to run whatever the file holds."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rpartition("WeightsUnpickler error: ")[2].partition(" Please use ")[0].partition(" Check the doc")[0]


def check_tensors(
    path: Path, network: str, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], optional: Collection[str]
) -> None:
    """Raise WeightsError unless `state`, read from `path`, has the names and shapes of `wanted`, and no others."""
    odd = sorted(map(str, state.keys() - wanted.keys())) + sorted(wanted.keys() - state.keys() - set(optional))
    odd += [name for name, tensor in state.items()
            if name in wanted and (not isinstance(tensor, Tensor) or tensor.shape != wanted[name].shape)]
    odd += [name for name, tensor in state.items() if not odd and not _has_numbers(tensor)]
    if odd:
        has, wants = (_shape(table.get(odd[0])) for table in (state, wanted))
        if has == wants:
            has = f"a tensor without plain numbers ({state[odd[0]].dtype}, {state[odd[0]].layout})"
        raise WeightsError(f"{path} does not hold {network}: {odd[0]} is {has} instead of {wants}", useless(path))


def _has_numbers(tensor: Tensor) -> bool:
    """Tell whether a tensor's numbers are there: one may be of a device that has none, or sparse, or quantised."""
    return tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.is_quantized and (
        tensor.is_floating_point() or tensor.dtype in (torch.int32, torch.int64))


def _shape(tensor: object) -> str:
    return "x".join(map(str, tensor.shape)) or "a number" if isinstance(tensor, Tensor) else "not there"
