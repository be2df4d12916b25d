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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict, tensors by name, on the CPU.

    Raises WeightsError for a file that is damaged or of another kind; `check_tensors` looks at what is in the table.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError,
            IndexError, UnicodeDecodeError, OSError) as error:  # as torch.load was seen to fail
        raise WeightsError(f"{path} is damaged, or no file of tensors that torch saved", useless(path)) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no table of tensors", useless(path))
    return state


def check_tensors(
    path: Path, network: str, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], optional: Collection[str]
) -> None:
    """Raise WeightsError unless `state`, read from `path`, has the names and shapes of `wanted`, and no others."""
    odd = sorted(map(str, state.keys() - wanted.keys())) + sorted(wanted.keys() - state.keys() - set(optional))
    odd += [name for name, tensor in state.items()
            if name in wanted and (not isinstance(tensor, Tensor) or tensor.shape != wanted[name].shape)]
    if odd:
        has, wants = (_shape(table.get(odd[0])) for table in (state, wanted))
        raise WeightsError(f"{path} does not hold {network}: {odd[0]} is {has} instead of {wants}", useless(path))


def _shape(tensor: object) -> str:
    return "x".join(map(str, tensor.shape)) or "a number" if isinstance(tensor, Tensor) else "not there"
