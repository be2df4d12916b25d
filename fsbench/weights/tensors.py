"""Tables of tensors that torch saved, read without running code that a file may hold."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from fsbench.errors import WeightsError
from fsbench.weights.files import useless
from fsbench.weights.formats import check_file, kind, mismatch, quoted, reason
from fsbench.weights.pickles import DAMAGES, check_pickle


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict, tensors by name, on the CPU.

    Raises WeightsError for a file that is damaged or of another kind; `check_tensors` looks at what is in the table.
    """
    check_file(path)
    found = kind(path)
    if found == "a TorchScript archive":
        raise WeightsError(
            f"{path} is {found}, a program with its numbers, no {_WANTED}",
            "save its numbers alone: torch.save(torch.jit.load(PATH).state_dict(), NEW)",
        )
    try:
        zipped = zipfile.is_zipfile(path)
        _check_content(path, zipped)
        with warnings.catch_warnings(action="ignore"):  # of odd pickles, where the error says more
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except _DAMAGES as error:
        if found in ("a file that torch saved", "a file of torch before 1.6"):
            raise WeightsError(
                f"{path} is damaged, or holds more than tensors: {_reason(error)}", useless(path)
            ) from error
        raise WeightsError(mismatch(path, _WANTED, _reason(error)), useless(path)) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no table of tensors but a {type(state).__name__}", useless(path))
    return state


_WANTED = "file of tensors that torch saved"


_DAMAGES = (*DAMAGES, RuntimeError, OSError, AssertionError, zipfile.BadZipFile, zlib.error)
"""As torch.load and zipfile were seen to fail."""

_PICKLES = 5
"""In a file of torch before 1.6: magic number, version, machine, tensors, names of storages."""


def _check_content(path: Path, zipped: bool) -> None:
    """Refuse an archive that unpacks to more than it holds, for torch compresses nothing; look through all pickles."""
    if not zipped:
        with path.open("rb") as file, suppress(EOFError):  # at the end of one that is not torch's, as torch says
            for _ in range(_PICKLES):
                check_pickle(file)
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, more than it has: torch saved no such archive")
        for name in archive.namelist():
            if name.endswith(".pkl"):
                check_pickle(io.BytesIO(archive.read(name)))


def _reason(error: Exception) -> str:
    """What torch says is wrong, without its advice, which is to run whatever the file holds."""
    text = reason(error) or type(error).__name__
    return text.rpartition("WeightsUnpickler error: ")[2].partition(" Please use ")[0].partition(" Check the doc")[0]


def check_tensors(
    path: Path, network: str, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], optional: Collection[str]
) -> None:
    """Raise WeightsError unless `state`, read from `path`, has the names and shapes of `wanted`, and no others."""
    odd = sorted(map(str, state.keys() - wanted.keys())) + sorted(wanted.keys() - state.keys() - set(optional))
    odd += [
        name
        for name, tensor in state.items()
        if name in wanted and (not isinstance(tensor, Tensor) or tensor.shape != wanted[name].shape)
    ]
    odd += [name for name, tensor in state.items() if not odd and not _has_numbers(tensor)]
    if odd:
        has, wants = (_shape(table.get(odd[0])) for table in (state, wanted))
        if has == wants:
            has = f"a tensor without plain numbers ({state[odd[0]].dtype}, {state[odd[0]].layout})"
        raise WeightsError(
            f"{path} does not hold {network}: {quoted(odd[0])} is {has} instead of {wants}", useless(path)
        )


def _has_numbers(tensor: Tensor) -> bool:
    """Tell whether a tensor's numbers are there: one may be of a device that has none, or sparse, or quantised."""
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_quantized
        and (tensor.is_floating_point() or tensor.dtype in (torch.int32, torch.int64))
    )


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return "x".join(map(str, value.shape)) or "a number"
    return "not there" if value is None else f"no tensor ({type(value).__name__})"


def give_tensors(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network that was made on the device `meta` its tensors, as float32; those that `state` lacks are 0.

    Such a network takes no time to make: others are given random weights first.
    """
    whole = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in network.state_dict().items()}
    whole |= {name: tensor.float() for name, tensor in state.items() if name in whole}
    network.load_state_dict(whole, assign=True)


@torch.inference_mode(False)  # made inside of it, they could not be used outside
def read_network(path: Path, title: str, network: nn.Module) -> None:
    """Give a network that was made on the device `meta` the tensors of a file that torch saved, for inference.

    `title` is what errors call the network. Raises WeightsError for a file that is damaged, of another kind or of
    another network, and for one whose numbers are not finite.
    """
    give_finite(path, title, network, read_tensors(path))


@torch.inference_mode(False)
def give_finite(path: Path, title: str, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """The same with tensors that were read from the file, and may have been named anew."""
    check_tensors(path, title, state, network.state_dict(), ())
    odd = next((name for name, tensor in state.items() if not tensor.isfinite().all()), None)
    if odd is not None:
        raise WeightsError(
            f"{path} does not hold {title}: {quoted(odd)} has numbers that are not finite", useless(path)
        )
    give_tensors(network, state)
    network.eval().requires_grad_(False)
