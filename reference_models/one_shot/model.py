"""One-shot swappers that other projects published as ONNX files, run as they run them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from fsbench.errors import BadParameter
from fsbench.faces.chips import cut_chips, paste_chips
from fsbench.faces.masks import box
from fsbench.faces.templates import TEMPLATES
from fsbench.images import in_threads
from fsbench.interfaces import Context, Source, Swapped, Targets, WeightsFile
from fsbench.registry import swappers
from fsbench.weights import own
from reference_models.one_shot.families import FAMILIES, KNOWN, Family
from reference_models.one_shot.identity import normalise, open_identity
from reference_models.one_shot.network import Network

FEATHER = 0.2
"""Width over which an answer fades into the crop at the border of its square, as a fraction of half the square's side.

As wide as the blurred border of facefusion's box mask.
"""

Name = Literal["auto", "inswapper", "hyperswap", "simswap", "ghost", "blendswap", "uniface", "hififace", "cscs"]


@swappers.register("onnx_swapper")
class OnnxSwapper:
    """A one-shot swapper saved as ONNX: inswapper, hyperswap, simswap, ghost, blendswap, uniface, hififace or cscs.

    It is written onnx_swapper(PATH) for a file that is known by its hash, onnx_swapper(PATH,family=ghost) for another;
    nothing is downloaded. Most families are conditioned on the features of InsightFace's w600k_r50: `recogniser` is its
    file, `converter` that of the network (crossface_FAMILY.onnx of facefusion) through which simswap, ghost and
    hififace take them. Both are looked for beside the swapper. `converter=none` says that the recogniser is the one
    that the swapper was trained with; of cscs, `converter` is the ID adapter.

    The target is cut by the family's template, and the answer pasted back in its square with a soft border: what the
    swapper itself does to hair and background is seen. Features of all source images are averaged; blendswap and
    uniface are shown the first image.
    """

    def __init__(
        self, *, file: str, family: Name = "auto", recogniser: str = "", converter: str = "", context: Context
    ) -> None:
        weights = own(Path(file).expanduser())
        name = _family(weights, family)
        rows = FAMILIES[name]
        self._network = Network(weights.path, f"{name} swapper", *rows[0].inputs, context=context)
        self._target, self._source = self._network.names
        self.size = _size(self._network, self._target, rows[0].size)
        self.family = next((row for row in rows if row.size == self.size), rows[0])
        self._identity = open_identity(name, weights.path, self.family, recogniser, converter, context)
        self.coaches = self._identity.coaches
        self.weights_files = (_licensed(weights, name, self.family), *self._identity.weights_files)
        self._try()

    @torch.inference_mode()
    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return the crops with the answers pasted in, and where they were."""
        size, template = targets.images.shape[-1], TEMPLATES[self.family.template]
        landmarks = targets.landmarks.cpu()
        aligned = torch.from_numpy(TEMPLATES["fsbench"] * size).to(landmarks)
        landmarks = landmarks.where(landmarks.isfinite().all(2).all(1)[:, None, None], aligned)
        chips = normalise(cut_chips(targets.images, landmarks, template, self.size), self.family.levels).cpu().numpy()
        shown = self._identity.of(source)
        answers = torch.from_numpy(np.stack(in_threads(lambda chip: self._answer(chip, shown), chips)))
        alpha = box(self.size, FEATHER).to(targets.images)
        return Swapped(*paste_chips(answers.to(targets.images), alpha, targets.images, landmarks, template))

    def _answer(self, chip: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """(3, size, size) -> (3, size, size), in [0, 1] but for what the network itself leaves outside."""
        outputs = self._network(**{self._target: chip[None], self._source: shown})
        images = [output[0] for output in outputs if output.shape == (1, 3, self.size, self.size)]
        if not images:
            shapes = ", ".join("x".join(map(str, output.shape)) for output in outputs) or "nothing"
            raise self._network.refuse(f"it gives {shapes}, where 1x3x{self.size}x{self.size} is wanted")
        return images[0] / 2 + 0.5 if self.family.signed else images[0]

    def _try(self) -> None:
        """Run everything once, so that a file that does not fit ends here."""
        grey = torch.full((1, 3, 64, 64), 0.5)
        chip = normalise(torch.full((1, 3, self.size, self.size), 0.5), self.family.levels)[0]
        self._answer(chip.numpy(), self._identity.of(Source("grey", grey)))


def _family(weights: WeightsFile, typed: Name) -> str:
    """The family of a file, by its hash or as typed; raises BadParameter where these differ, or neither is there."""
    known = KNOWN.get(weights.sha256)
    if known is not None and not known.is_swapper:
        raise BadParameter(f"{weights.path} is {known.name}, a recogniser", "name the swapper: onnx_swapper(PATH)")
    if typed == "auto" and known is None:
        raise BadParameter(
            f"{weights.path.name} is not known by its hash", f"say which it is: family={'|'.join(FAMILIES)}"
        )
    if known is not None and typed not in ("auto", known.family):
        raise BadParameter(f"{weights.path.name} is {known.name}, and not of the family {typed}", "leave family out")
    return typed if known is None else known.family


def _size(network: Network, target: str, usual: int) -> int:
    """Pixels a side of the target that a network wants."""
    shape = network.shapes[target]
    sides = {n for n in shape[2:] if isinstance(n, int)}
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3) or len(sides) > 1:
        raise network.refuse(f"{target} has the shape {'x'.join(map(str, shape))}, where 1x3x{usual}x{usual} is usual")
    return sides.pop() if sides else usual


def _licensed(weights: WeightsFile, name: str, family: Family) -> WeightsFile:
    """The same file under the name and licence that its hash says, or that its family has."""
    known = KNOWN.get(weights.sha256)
    if known is not None:
        return replace(weights, name=known.name, licence=family.licence, note="")
    return replace(
        weights, licence=f"{family.licence}, if it is the authors' file", note=f"a file of unknown hash, run as {name}"
    )
