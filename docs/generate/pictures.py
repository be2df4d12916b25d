"""Pictures of what models make of synthetic people.

Those of models that need neither training nor files are drawn when the site is built. Others lie in `docs/pictures`,
made once out of a finished run by `python -m docs.generate.from_run`; `captions.toml` there says how.
"""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fsbench import registry
from fsbench.errors import BadParameter
from fsbench.images import to_bytes
from fsbench.interfaces import Context, Faces, Source, Swapped, Targets, Trainable

KEPT = Path(__file__).parents[1] / "pictures"
DATASET = "synthetic(people=2,sessions=8,images=4,gallery=0,clips=0,size=128)"
BEFORE = {"refiners": "alpha_paste", "wrappers": "alpha_paste"}
"""The swapper that stands before a part of each kind in its picture."""
DRAWN = ("prnet", "recursive")
"""Refiners and wrappers that need no file but those that come with fsbench."""
N_GROUPS, GAP = 3, 6


@dataclass(frozen=True)
class Picture:
    """A picture as a page shows it."""

    path: str  # on the site
    model: str
    caption: str


class Pictures:
    """Makes pictures, and keeps their files by path on the site."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.files: dict[str, bytes] = {}
        self.captions: dict[str, str] = tomllib.loads((KEPT / "captions.toml").read_text(encoding="utf-8"))
        self.dataset: Any = registry.datasets.build(DATASET, context)
        held_out: Faces = self.dataset.faces("test")
        self.source_name, other = held_out.identities[:2]
        people = held_out.of(other)
        first = people.rows["session"].drop_duplicates().index[:N_GROUPS]  # one of each session
        self.targets = people.select(people.rows.index.get_indexer(first))
        self.source = Source(self.source_name, self.dataset.faces("train").of(self.source_name).crops[:])

    def of(self, kind: str, name: str) -> Picture | None:
        """Return the picture of a part of pipelines; None where there is none."""
        path = f"pictures/{kind}-{name}.jpg"
        kept = KEPT / f"{kind}-{name}.jpg"
        if kept.is_file():
            self.files[path] = kept.read_bytes()
            return Picture(path, name, self.captions[f"{kind}-{name}"])
        outputs = self._outputs(kind, name)
        if outputs is None:
            return None
        model = f"{BEFORE[kind]}+{name}" if kind in BEFORE else name
        self.files[path] = strip(self.source.images[:1].expand_as(outputs), self.targets.crops[:], outputs)
        return Picture(path, model, f"`{model}`, drawn with this page.")

    def _outputs(self, kind: str, name: str) -> torch.Tensor | None:
        """Outputs of a model that needs no training, (N, 3, S, S)."""
        if kind in BEFORE:
            return self._after(kind, name) if name in DRAWN else None
        try:
            swapper = registry.swappers.build(name, self.context)
        except BadParameter:
            return None  # it wants a file or a command
        if name == "exact":
            exact: torch.Tensor = self.dataset.truth(self.source_name, self.targets).exact[:]
            return exact
        if isinstance(swapper, Trainable):
            return None
        return Swapped.of(swapper.swap(self.source, Targets.of(self.targets))).images

    def _after(self, kind: str, name: str) -> torch.Tensor:
        swapper, targets = registry.swappers.build(BEFORE[kind], self.context), Targets.of(self.targets)
        part = registry.REGISTRIES[kind].build(name, self.context)
        if kind == "wrappers":
            return Swapped.of(part.wrap(swapper).swap(self.source, targets)).images
        output = Swapped.of(swapper.swap(self.source, targets))
        return Swapped.of(part.refine(output, targets, self.source)).images


def strip(sources: torch.Tensor, targets: torch.Tensor, outputs: torch.Tensor) -> bytes:
    """Return a JPEG: side by side groups of source, target and output, each (N, 3, S, S)."""
    groups = []
    for triple in zip(sources, targets, outputs, strict=True):
        images = [to_bytes(image[None])[0] for image in triple]  # (S, S, 3)
        size = images[1].shape[0]
        groups += [*images, np.full((size, GAP, 3), 255, np.uint8)]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(groups[:-1], 1)).save(stream, "JPEG", quality=88)
    return stream.getvalue()
