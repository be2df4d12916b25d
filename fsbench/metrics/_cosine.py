"""Which real images an output is compared with, and its cosines to them; shared by the identity metrics.

"The images of a person" are their held-out ones. Those of the target image's own session are left out throughout: an
output keeps the target's scene, and a judge that recognises a scene is not meant to be rewarded for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch


def sources(batch: Batch) -> list[str]:
    """The source person of each output."""
    return [batch.source.identity] * len(batch.rows)


def targets(batch: Batch) -> list[str]:
    """The target person of each output."""
    return [str(name) for name in batch.rows["identity"]]


def held_out(batch: Batch, identities: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs that are compared with the same images: indices of the outputs, and of images of `identities[i]`.

    Images in which the judge found no face are left out; a person without an image that is left is not among what is
    yielded.
    """
    view = batch.embeddings
    rows = view.reference_rows
    usable = (rows["split"] == "test").to_numpy() & ~view.references.isnan().any(1).cpu().numpy()
    owner, session = rows["identity"].to_numpy(), rows["session"].to_numpy()
    groups: dict[tuple[str, str], list[int]] = {}
    for i, (identity, target, scene) in enumerate(
        zip(identities, batch.rows["identity"], batch.rows["session"], strict=True)
    ):
        own = scene if identity == target else ""  # nobody else has images of that session
        groups.setdefault((identity, own), []).append(i)
    for (identity, own), outputs in groups.items():
        images = np.flatnonzero(usable & (owner == identity) & (session != own))
        if len(images):
            yield torch.tensor(outputs), torch.from_numpy(images)


def compare(
    batch: Batch, identities: list[str], score: Callable[[Tensor], Tensor], lost: float = math.nan
) -> Tensor:
    """Apply `score`, (n, R) cosines to the held-out images of one person -> (n,), to every output, (N,).

    `lost` where the output has no face although the target has one; NaN where neither has, and where that person has no
    held-out image with a face in another session: there no model could be compared. Cosines are float64, so that those
    that a metric rounds do not fall on another side with the size of the batch.
    """
    view = batch.embeddings
    rows = view.output.new_full((len(view.output),), torch.nan)
    found, losable = (~vectors.isnan().any(1).cpu() for vectors in (view.output, view.target))
    for outputs, images in held_out(batch, identities):
        seen = outputs[found[outputs]]
        rows[outputs[losable[outputs]]] = lost
        rows[seen] = score(view.output[seen].double() @ view.references[images].double().T).to(rows)
    return rows


def to_source(batch: Batch, lost: float = math.nan) -> Tensor:
    """Mean cosine to the source's held-out images, (N,); `lost` and NaN as of `compare`."""
    return compare(batch, sources(batch), lambda cosine: cosine.mean(1), lost)


def to_target(batch: Batch, lost: float = math.nan) -> Tensor:
    """Mean cosine to the target person's held-out images of other sessions, (N,); `lost` and NaN as of `compare`."""
    return compare(batch, targets(batch), lambda cosine: cosine.mean(1), lost)
