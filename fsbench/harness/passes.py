"""What became of outputs that were fed back, pass by pass: a table for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from fsbench.config import Plan
from fsbench.errors import NotScorable
from fsbench.evidence.recursion import PASSES, FedBack
from fsbench.harness import measurements
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.model_evaluation import ModelEvaluation
from fsbench.harness.summarise import batches
from fsbench.images import ImageSet
from fsbench.metrics._skin import delta_e, grown, skin
from fsbench.pairs import Pairs
from fsbench.results import column

IDENTITY = "id_similarity"


def passes(evaluation: PreparedSet, plan: Plan, done: Sequence[ModelEvaluation]) -> pd.DataFrame | None:
    """Rows of recursion.parquet; None where nothing was fed back."""
    tables = [_passes_of(evaluation, model.record.name, model.fed_back) for model in done if model.fed_back is not None]
    return pd.concat(tables, ignore_index=True) if tables else None


def _passes_of(evaluation: PreparedSet, label: str, fed_back: FedBack) -> pd.DataFrame:
    """Rows of one model."""
    fed = evaluation.pairs.take(fed_back.rows)
    pairs = Pairs(fed.groups * len(fed_back.images), fed.rule)  # once per number of passes
    images = ImageSet.join(list(fed_back.images.values()))
    first = fed_back.images[PASSES[0]][:].repeat(len(fed_back.images), 1, 1, 1)
    target, mask = (
        torch.cat(parts)
        for parts in zip(*((batch.target, batch.mask) for batch in batches(pairs, images, {})), strict=True)
    )
    table = pd.DataFrame(
        {
            "model": label,
            "row": np.tile(fed_back.rows, len(fed_back.images)),
            "n": np.repeat(list(fed_back.images), len(fed_back.rows)),
            "colour": delta_e(images[:], first, skin(mask)).numpy(),
            "sharpness": (sharpness(images[:], mask) / sharpness(target, mask)).numpy(),
        }
    )
    identity = evaluation.alone(pairs, IDENTITY)
    for name, judge, rows in identity.measure(identity.extract(f"{label}, fed back", images)):
        table[column(name, judge)] = np.nan if isinstance(rows, NotScorable) else measurements.column(rows)
    return table.replace([np.inf, -np.inf], np.nan)


def sharpness(images: Tensor, mask: Tensor) -> Tensor:
    """Variance of the Laplacian of the luminance inside face masks, border left out, (N,) float64; NaN for no pixel.

    (N, 3, S, S) images in [0, 1] and (N, 1, S, S) masks. Pech-Pacheco et al., ICPR 2000; luminance of ITU-R BT.601.
    """
    luminance = (images.double() * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = luminance.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = conv2d(torch.nn.functional.pad(luminance, (1, 1, 1, 1), mode="replicate"), kernel)  # (N, 1, S, S)
    inside = (~grown(mask <= 0.5)).double()
    n = inside.sum((1, 2, 3))
    mean = (edges * inside).sum((1, 2, 3)) / n
    return (edges.square() * inside).sum((1, 2, 3)) / n - mean.square()
