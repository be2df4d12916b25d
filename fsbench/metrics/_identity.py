"""Cosines of outputs to real images, shared by the identity metrics.

The images of a person are the person's held-out images. Those of the target image's own session are never used: an
output keeps the target's scene, and a judge that recognises a scene must not be rewarded for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.interfaces.references import PersonImages

identity_info = partial(
    MetricInfo, needs=("judge",), group="identity", measures=("identity",), stages=("crop", "frame")
)
"""MetricInfo with the facts that all identity metrics share."""


def sources(batch: Batch) -> list[str]:
    """The source person of each output."""
    return [batch.source.identity] * len(batch.rows)


def targets(batch: Batch) -> list[str]:
    """The target person of each output."""
    return [str(name) for name in batch.rows["identity"]]


def held_out(batch: Batch, identities: list[str]) -> Iterator[tuple[Tensor, PersonImages]]:
    """Yield indices of outputs that are compared with the same images of `identities[i]`, and these images.

    Images in which the judge found no face are left out. Outputs of a person without any remaining image are not
    yielded.
    """
    references = batch.embeddings.by_person
    groups: dict[tuple[str, str | None], list[int]] = {}
    for i, (identity, target, session) in enumerate(
        zip(identities, batch.rows["identity"], batch.rows["session"], strict=True)
    ):
        hidden = session if identity == target else None  # nobody else has images of that session
        groups.setdefault((identity, hidden), []).append(i)
    for (identity, hidden), outputs in groups.items():
        images = references.held_out(identity, hidden)
        if len(images.index):
            yield torch.tensor(outputs), images


def compare(
    batch: Batch, identities: list[str], score: Callable[[Tensor, PersonImages], Tensor], lost: float = math.nan
) -> Tensor:
    """Apply `score`, (n, D) vectors of outputs and images of one person -> (n,), to every output, (N,).

    A row is `lost` where the output has no face although the target has one. It is NaN where neither has a face, and
    where the person has no held-out image with a face in another session: no model could be compared there. Vectors
    are float64, so that a metric that rounds cosines does not depend on the size of the batch.
    """
    embeddings = batch.embeddings
    rows = embeddings.output.new_full((len(embeddings.output),), torch.nan)
    output_face, target_face = (~side.isnan().any(1).cpu() for side in (embeddings.output, embeddings.target))
    for outputs, images in held_out(batch, identities):
        scored = outputs[output_face[outputs]]
        rows[outputs[target_face[outputs]]] = lost
        rows[scored] = score(embeddings.output[scored].double(), images).to(rows)
    return rows


def cosines(vectors: Tensor, images: PersonImages) -> np.ndarray:
    """Cosines of vectors (n, D) to all images of a person, (n, R)."""
    return (vectors @ images.vectors.T).cpu().numpy()


def mean_cosine(vectors: Tensor, images: PersonImages) -> Tensor:
    """Mean of the same over the images, (n,)."""
    return vectors @ images.mean


def to_source(batch: Batch, lost: float = math.nan) -> Tensor:
    """Mean cosine to the source's held-out images, (N,); `lost` and NaN as in `compare`."""
    return compare(batch, sources(batch), mean_cosine, lost)


def to_target(batch: Batch, lost: float = math.nan) -> Tensor:
    """Mean cosine to the target person's held-out images of other sessions, (N,); `lost` and NaN as in `compare`."""
    return compare(batch, targets(batch), mean_cosine, lost)
