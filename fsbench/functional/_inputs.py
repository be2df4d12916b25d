"""What a function of `fsbench.functional` is given: checked, and made into the records that metrics are handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.errors import UsageError
from fsbench.harness.strangers import join
from fsbench.images import ImageSet
from fsbench.interfaces import Faces

People = Faces | Mapping[str, Tensor]
Rows = pd.DataFrame | Mapping[str, Any]

NOBODY = ""
"""Who is in a target, where that is not given."""

ROUNDING = 1e-3
"""How far a pixel may lie outside [0, 1]: half precision makes no more of 1."""


@dataclass(frozen=True)
class Given:
    """The arguments of a function; None stands for one that was left out."""

    output: Tensor
    target: Tensor | None = None
    source: Tensor | str | None = None
    mask: Tensor | None = None
    rows: Rows | None = None
    people: People | None = None
    gallery: People | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)  # by its name in MetricInfo.needs


def checked_images(name: str, given: object, channels: int = 3) -> ImageSet:
    """Return images (N, C, S, S), float in [0, 1], rounded to 8 bits; raises UsageError for anything else."""
    wanted = f"(N, {channels}, S, S)"
    if not isinstance(given, Tensor):
        raise UsageError(f"{name} is {type(given).__name__}", f"give a tensor {wanted}, float in [0, 1]")
    shape = tuple(given.shape)
    if given.ndim != 4 or shape[1] != channels or shape[2] != shape[3]:
        raise UsageError(f"{name} has the shape {shape}, not {wanted}", _shape_hint(name, shape, channels))
    if not len(given):
        raise UsageError(f"{name} holds no image", "leave an empty batch out")
    if given.dtype == torch.bool and channels == 1:
        given = given.float()
    if not given.is_floating_point():
        kind = str(given.dtype).removeprefix("torch.")
        raise UsageError(f"{name} is {kind}", f"pixels are floats in [0, 1]: {name}.float() / 255")
    given = given.detach().float().cpu()
    if not bool(given.isfinite().all()):
        raise UsageError(f"{name} holds values that are not finite", "pixels are in [0, 1]")
    low, high = (float(end) for end in given.aminmax())
    if low < -ROUNDING or high > 1 + ROUNDING:
        halved = f": ({name} + 1) / 2" if -1 - ROUNDING <= low < 0 and high <= 1 + ROUNDING else ""
        raise UsageError(f"{name} goes from {low:.4g} to {high:.4g}", f"pixels are in [0, 1]{halved}")
    return ImageSet.of(given)


def _shape_hint(name: str, shape: tuple[int, ...], channels: int) -> str:
    if len(shape) == 4 and shape[3] == channels:
        return f"channels come second: {name}.permute(0, 3, 1, 2)"
    if len(shape) == 3:
        return f"of a single image give {name}[None]"
    return "give aligned crops, as high as they are wide"


def alike(name: str, images: ImageSet, output: ImageSet) -> ImageSet:
    """Return the images; raises UsageError where they do not fit the outputs, one for each."""
    n, height, width, _ = images.shape
    if (n, height, width) != output.shape[:3]:
        theirs, ours = (f"{count} of {high} x {wide}" for count, high, wide in (images.shape[:3], output.shape[:3]))
        raise UsageError(f"{name} does not fit output: {theirs} pixels for {ours}", "give one for each output")
    return images


def table(given: Rows | None, n: int, clip: bool) -> pd.DataFrame:
    """What is known of each target, with the columns that `Faces.rows` has; raises UsageError for other lengths."""
    known: dict[str, Any] = {
        "id": [str(i) for i in range(n)], "identity": NOBODY, "session": "", "clip": "clip" if clip else "",
        "frame": np.arange(n),
    }  # fmt: skip
    for name, column in dict(given if given is not None else {}).items():
        values = np.asarray(column.cpu() if isinstance(column, Tensor) else column)
        if values.shape != (n,):
            raise UsageError(f"rows[{name!r}] has the shape {values.shape}", f"give one entry for each output: ({n},)")
        known[name] = values
    rows = pd.DataFrame(known, index=range(n))
    if clip and (np.diff(rows["frame"].to_numpy()) <= 0).any():
        raise UsageError("rows['frame'] does not ascend", "give the frames of one clip in their order")
    return rows


def as_faces(name: str, given: People | None) -> Faces | None:
    """Real images by person; of a mapping each image is a session of its own. Raises UsageError."""
    if given is None or isinstance(given, Faces):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"{name} is {type(given).__name__}", "give {name: images (K, 3, S, S)}, or Faces")
    return join([_one_person(str(who), checked_images(f"{name}[{who!r}]", images)) for who, images in given.items()])


def _one_person(who: str, images: ImageSet) -> Faces:
    n = len(images)
    sessions = [str(k) for k in range(n)]
    rows = pd.DataFrame({"id": [f"{who}/{k}" for k in sessions], "identity": who, "session": sessions, "clip": "",
                         "frame": 0})  # fmt: skip
    return Faces(images, rows, np.full((n, 5, 2), np.nan, np.float32))


@dataclass(frozen=True)
class Sources:
    """Whom outputs should show: one name for all of them, or one for each; and images of these people."""

    names: Sequence[str]
    faces: Faces | None  # None where they are among `people`

    @classmethod
    def of(cls, source: Tensor | str, n: int, people: Faces | None) -> Sources:
        """Read the argument `source` for `n` outputs; raises UsageError."""
        if isinstance(source, str):
            known = people.identities if people is not None else []
            if source not in known:
                raise UsageError(
                    f"source is {source!r}, of whom people has no images", f"it has {', '.join(known) or 'nobody'}"
                )
            return cls([source], None)
        images = source[:, None] if isinstance(source, Tensor) and source.ndim == 4 else source
        if not isinstance(images, Tensor) or images.ndim != 5:
            shown = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise UsageError(f"source is {shown}", "give (N, 3, S, S), or (N, K, 3, S, S) for K images of each")
        if len(images) not in (1, n):
            raise UsageError(
                f"source has images for {len(images)} outputs, and there are {n}",
                f"give one for each, ({n}, 3, S, S), or source[None] where all of them show one person",
            )
        names = [f"source #{i}" for i in range(len(images))]
        parts = [_one_person(who, checked_images("source", own)) for who, own in zip(names, images, strict=True)]
        return cls(names, join(parts))
