"""What a one-shot swapper is shown of a source: a photograph, or the features of a recogniser, as its family wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import BadParameter, WeightsError
from fsbench.faces.chips import cut_chips
from fsbench.faces.templates import TEMPLATES
from fsbench.interfaces import Context, Source, WeightsFile
from fsbench.onnx.graph import last_initializer
from fsbench.onnx.session import OnnxSession
from fsbench.weights import own
from reference_models.one_shot.families import KNOWN, OWN_RECOGNISERS, RECOGNISERS, W600K, Family, Levels
from reference_models.one_shot.network import Network

NOT_NEEDED = "none"
"""Typed for a converter where a recogniser gives what the swapper was trained with."""

_LARGEST_MATRIX = 4096**2


@dataclass(frozen=True)
class Identity:
    """Makes of a source what the swappers of a family take."""

    family: Family
    levels: Levels
    recognisers: tuple[OnnxSession, ...] = ()  # none where the swapper is shown a photograph
    converter: Network | None = None
    matrix: np.ndarray | None = None  # (D, D)
    weights_files: tuple[WeightsFile, ...] = ()
    coaches: tuple[str, ...] = ()  # families of recognisers that it is conditioned on

    def of(self, source: Source) -> np.ndarray:
        """Return (1, D) float32 of all images, or (1, 3, h, h) of the first where the family is shown a photograph."""
        if not self.recognisers:
            return self._chips(source.images[:1], self.family.source_size).numpy()
        features = [recogniser(self._chips(source.images, recogniser.size)) for recogniser in self.recognisers]
        if self.family.identity == "summed":
            features = [_unit(part) for part in features]
        vector = torch.stack(features).sum(0).mean(0, keepdim=True)  # (1, D)
        if self.converter is not None:
            vector = torch.from_numpy(self.converter(input=vector.numpy())[0]).reshape(1, -1)
        if self.matrix is not None:
            vector = _unit(vector) @ torch.from_numpy(self.matrix)
        return (_unit(vector) if self.family.normalised else vector).numpy()

    def _chips(self, images: Tensor, size: int) -> Tensor:
        """(N, 3, S, S) crops -> (N, 3, size, size) at the levels that the network expects."""
        places = torch.from_numpy(TEMPLATES["fsbench"] * images.shape[-1]).expand(len(images), -1, -1)
        return normalise(cut_chips(images.cpu(), places, TEMPLATES[self.family.source_template], size), self.levels)


def open_identity(
    name: str, swapper: Path, family: Family, recogniser: str, converter: str, context: Context
) -> Identity:
    """Open the networks that the family `name` needs beside a swapper; those that are not named lie beside it.

    Raises WeightsError for a file that is missing or unfit, BadParameter for one that is not needed.
    """
    if family.identity == "image":
        if recogniser or converter:
            raise BadParameter(f"{name} is shown a photograph: it takes no recogniser and no converter", "leave it out")
        return Identity(family, family.source_levels)
    summed, own_name = family.identity == "summed", OWN_RECOGNISERS.get(name)
    usual = [own_name] if summed else [*RECOGNISERS, own_name]
    files = [own(_locate("recogniser", recogniser, swapper, usual))]
    known = KNOWN.get(files[0].sha256)
    trained_with = summed or (known is not None and known.family == name) or converter == NOT_NEEDED
    if summed or (family.identity == "converted" and not trained_with):
        files.append(own(_locate("converter", converter, swapper, [family.converter])))
    elif converter not in ("", NOT_NEEDED):
        raise BadParameter(f"{name} takes no converter with {files[0].path.name}", "leave it out")
    networks = files if summed else files[:1]
    sessions = [OnnxSession(file.path, 0, family.source_size, context.device, context.log) for file in networks]
    made = (
        Network(files[1].path, "converter of features", ("input",), context=context)
        if len(files) > len(networks)
        else None
    )
    stems = [file.path.stem for file in networks]
    return Identity(
        family,
        family.own_levels if trained_with else family.source_levels,
        tuple(sessions),
        made,
        _matrix(swapper, sessions[0].dim) if family.identity == "mapped" else None,
        tuple(files),
        tuple(dict.fromkeys(stems if trained_with else (*stems, *W600K))),
    )


def normalise(images: Tensor, levels: Levels) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> the levels that a network expects."""
    mean, deviation = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in levels)
    return (images - mean) / deviation


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)


def _matrix(swapper: Path, dim: int) -> np.ndarray:
    """The matrix for features, (D, D) float32, that the graph of an inswapper lists last."""
    matrix = last_initializer(swapper, _LARGEST_MATRIX)
    if matrix is None or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        shape = "nothing that can be read" if matrix is None else "x".join(map(str, matrix.shape)) or "a number"
        raise WeightsError(
            f"{swapper} is no inswapper: where its graph should end with a square matrix for features stands {shape}",
            "take it from its source again: programs that simplify a graph move the matrix",
        )
    if len(matrix) != dim:
        why = f"its matrix is for {len(matrix)} features, and the recogniser gives {dim}"
        raise WeightsError(f"{swapper} does not fit: {why}", "name the recogniser that it is conditioned on: w600k_r50")
    return matrix.astype(np.float32)


def _locate(role: str, typed: str, swapper: Path, usual: list[str | None]) -> Path:
    """The file that was typed, or the first of the usual names that lies beside the swapper."""
    if typed:
        return Path(typed).expanduser()
    names = [name for name in usual if name]
    for name in names:
        if (swapper.parent / name).is_file():
            return swapper.parent / name
    hint = f"name it: {role}=PATH" + (
        ", or converter=none where the recogniser is the swapper's own" * (role == "converter")
    )
    raise WeightsError(f"{swapper.name} needs a {role}, and beside it there is no {' or '.join(names)}", hint)
