"""Makes a file for `prnet@FILE` of PRNet's own checkpoint and layout, which come from its authors' repository.

    python -m reference_models.prnet.convert Data/net-data/256_256_resfcn256_weight.index Data/uv-data prnet.safetensors

The checkpoint is the one that https://github.com/YadiraF/PRNet (MIT) links to; of its folder uv-data, `face_ind.txt`
and `uv_kpt_ind.txt` are read. The file has no model of expressions, for the layout is not that of the head model here:
parts of a face then take the target's shape.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from fsbench import __version__
from fsbench.errors import CheckpointError, FsbenchError
from fsbench.training import save_model
from reference_models.prnet.face import Layout
from reference_models.prnet.network import PositionNetwork
from reference_models.prnet.tensorflow import read_checkpoint

SIDE = 256
_FADE = 12  # texels over which the face fades out at its border
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def convert(index: Path, uv_data: Path, out: Path) -> None:
    """Write a model file; raises CheckpointError where the checkpoint or the layout is not PRNet's."""
    state, layout = network_state(read_checkpoint(index), index), published_layout(uv_data)
    facts = {"architecture": "prnet", "size": "standard", "width": 16, "side": None, "fsbench": __version__}
    save_model(out, {**{f"network.{name}": tensor for name, tensor in state.items()}, **layout.tensors()}, facts)


def network_state(variables: dict[str, np.ndarray], source: Path) -> dict[str, Tensor]:
    """Give the variables of a checkpoint the names and the order of axes that `PositionNetwork` has."""
    with torch.device("meta"):
        wanted = {name: tensor for name, tensor in PositionNetwork().state_dict().items() if tensor.ndim}
    state = {}
    for name, tensor in wanted.items():
        known = published_name(name)
        if known not in variables:
            raise CheckpointError(f"{source} has no variable {known}", "name the checkpoint of PRNet's authors")
        values = torch.from_numpy(variables[known])
        if values.ndim == 4:
            values = values.permute(3, 2, 0, 1)  # both kinds of convolution: (H, W, a, b) -> (b, a, H, W)
        if values.shape != tensor.shape:
            raise CheckpointError(
                f"{source}: {known} is {tuple(values.shape)}, not {tuple(tensor.shape)}",
                "name the checkpoint of PRNet's authors",
            )
        state[name] = values.contiguous()
    return state


def published_name(name: str) -> str:
    """Return the name that a tensor of `PositionNetwork` has in the published checkpoint.

    >>> published_name("stem.weight"), published_name("encoder.2.conv_norm.running_var")
    ('resfcn256/Conv/weights', 'resfcn256/resBlock_2/Conv_1/BatchNorm/moving_variance')
    >>> published_name("decoder.3.weight"), published_name("last.7.bias")
    ('resfcn256/Conv2d_transpose_1/weights', 'resfcn256/Conv2d_transpose_16/BatchNorm/beta')
    """
    place, _, last = name.rpartition(".")
    part, _, rest = place.partition(".")
    norm = False
    if part in ("stem", "stem_norm"):
        layer, norm = "Conv", part == "stem_norm"
    elif part == "encoder":
        number, _, inner = rest.partition(".")
        norm = inner.endswith("norm")
        inside = {"shortcut": "shortcut", "reduce": "Conv", "conv": "Conv_1", "expand": "Conv_2", "": ""}
        layer = f"resBlock{_numbered(int(number))}/{inside[inner.removesuffix('norm').removesuffix('_')]}".rstrip("/")
    else:  # a convolution, a normalisation and a ReLU each
        number = int(rest) // 3 + (14 if part == "last" else 0)
        layer, norm = f"Conv2d_transpose{_numbered(number)}", int(rest) % 3 == 1
    return f"resfcn256/{layer}/{'BatchNorm/' + _NORM[last] if norm else 'weights'}"


def _numbered(number: int) -> str:
    return f"_{number}" if number else ""


def published_layout(uv_data: Path) -> Layout:
    """Read the layout of PRNet's maps out of its folder uv-data; raises CheckpointError."""
    face = _numbers(uv_data / "face_ind.txt", SIDE * SIDE)
    points = _numbers(uv_data / "uv_kpt_ind.txt", SIDE)
    if points.size != 2 * 68:
        raise CheckpointError(f"{uv_data / 'uv_kpt_ind.txt'} does not hold 68 points", "copy it again")
    valid = np.zeros(SIDE * SIDE, np.float32)
    valid[face] = 1
    inside = distance_transform_edt(np.pad(valid.reshape(SIDE, SIDE), 1))[1:-1, 1:-1]
    landmarks = (points.reshape(2, 68).T + 0.5) / SIDE * 2 - 1  # column and row
    return Layout(
        face=torch.from_numpy(np.clip(inside / _FADE, 0, 1).astype(np.float32)),
        valid=torch.from_numpy(valid.reshape(SIDE, SIDE)),
        membrane=torch.zeros(SIDE, SIDE),
        landmarks=torch.from_numpy(landmarks.astype(np.float32)),
    )


def _numbers(path: Path, end: int) -> np.ndarray:
    """Whole numbers from 0 to below `end` in a text; raises CheckpointError."""
    try:
        numbers = np.array(path.read_text(encoding="ascii").split(), np.float64).astype(np.int64)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path}: {error}", "name the folder uv-data of PRNet's repository"
        ) from error
    if not numbers.size or numbers.min() < 0 or numbers.max() >= end:
        raise CheckpointError(f"{path} holds numbers that are no texels", "copy it again")
    return numbers


def main() -> None:
    """Convert the files that the command line names."""
    if len(sys.argv) != 4:
        sys.exit((__doc__ or "").strip())
    try:
        convert(*map(Path, sys.argv[1:]))
    except FsbenchError as error:
        sys.exit(error.sentence)


if __name__ == "__main__":
    main()
